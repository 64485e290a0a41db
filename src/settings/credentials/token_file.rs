//! A file with a token that another program renews.

use super::method::CredentialMethod;
use crate::settings::files::RereadContent;
use crate::settings::reader::Table;

pub fn read(t: &mut Table<'_, '_>, _: bool) -> Option<CredentialMethod> {
    let path = t.reread("token_file", RereadContent::Secret);
    let path = t.needed("token_file", path)?;
    Some(CredentialMethod::TokenFile { path })
}
