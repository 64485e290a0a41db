//! An application and its secret, from its key or from a file of its own.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::application;
use super::method::CredentialMethod;
use crate::domain::{EXPIRY_WARNING_DAYS, Validity};
use crate::settings::expiry;
use crate::settings::reader::{Table, all};

pub fn read(t: &mut Table<'_, '_>, allow_plain_http: bool) -> Option<CredentialMethod> {
    let secret = t.secret("client_secret", "client_secret_file");
    match &secret {
        Some(None) => t.missing("client_secret", ", or client_secret_file"),
        Some(Some(secret)) if !is_printable(secret.expose()) => {
            let names = ["client_secret", "client_secret_file"];
            let name = names.into_iter().find(|name| t.has(name));
            t.problem(name.unwrap_or(names[0]), NOT_PRINTABLE);
        }
        Some(Some(_)) | None => {}
    }
    all!(CredentialMethod::ClientSecret {
        application: application::read(t, allow_plain_http),
        secret: secret.flatten().map(Arc::new),
        expires: expires(t),
    })
}

const NOT_PRINTABLE: &str = "must consist of printable ASCII characters (RFC 6749 appendix A.2); \
                             copy the secret's value again";

fn is_printable(secret: &str) -> bool {
    secret.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// The day on which the secret ends. Entra does not tell its users, so it is configured.
fn expires(t: &mut Table<'_, '_>) -> Option<Option<Date>> {
    let date = t.optional("client_secret_expires", date)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let validity = date.map(|date| match i64::from((date - today).get_days()) {
        ..0 => Validity::Expired,
        // A secret is good until the end of its day.
        days => Validity::Days(days),
    });
    let warning = |validity| expiry::warning("secret", validity, EXPIRY_WARNING_DAYS);
    if let Some(message) = validity.and_then(warning) {
        t.warn("client_secret_expires", message);
    }
    Some(date)
}

fn date(text: &str) -> Result<Date, &'static str> {
    // `parse` alone would also accept other forms of ISO 8601, and times.
    let date = text.parse::<Date>().ok();
    date.filter(|date| date.to_string() == text)
        .ok_or("must be a date as in 2027-01-31: year, month and day")
}
