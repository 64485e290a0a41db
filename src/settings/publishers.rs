//! `[[publishers]]`: for whom the gateway can act, and with which credential.

use std::collections::{BTreeSet, HashMap};

use super::context::Context;
use super::reader::Table;
use crate::domain::PublisherId;

/// A publisher that can be acted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherSettings {
    /// Its id at the vendor.
    pub id: PublisherId,
    /// A key of [`Settings::credentials`](super::Settings::credentials).
    pub credential: String,
}

pub fn read(root: &mut Table<'_, '_>, context: &mut Context) -> Option<Vec<PublisherSettings>> {
    let mut seen = HashMap::new();
    let mut used = BTreeSet::new();
    let list = root.tables("publishers", |t| {
        let id = t.required("id", PublisherId::parse);
        if let Some(id) = &id {
            // The vendor ignores the case, so these would be one account.
            let at = t.at("id");
            t.reading
                .unique(&mut seen, id.as_str().to_ascii_lowercase(), &at);
        }
        let credential = t.required("credential", |name| {
            used.insert(name.to_owned());
            Ok::<_, &str>(name.to_owned())
        });
        if let Some(name) = &credential
            && !context.credentials.contains_key(name)
        {
            t.problem(
                "credential",
                "is not the name of a table under [credentials]",
            );
        }
        let publisher = id.clone().zip(credential);
        Some((id, publisher))
    })?;
    if list.is_empty() {
        root.problem("publishers", "at least one publisher is required");
        return None;
    }
    for (name, at) in &context.credentials {
        if !used.contains(name) {
            root.reading.warn(at, "is not used by any publisher");
        }
    }
    let (ids, publishers): (Vec<_>, Vec<_>) = list.into_iter().unzip();
    // The ids are known whatever else is wrong with the publishers.
    context.publishers = ids.into_iter().collect();
    let settings = |(id, credential)| PublisherSettings { id, credential };
    publishers
        .into_iter()
        .map(|one| one.map(settings))
        .collect()
}
