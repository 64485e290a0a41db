//! Secrets: from a key or from a file of their own, never from both.

use std::mem::take;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::checker::Checker;
use super::super::field::Field;
use super::super::files;
use super::super::problem::KeyPath;
use super::application::parsed;
use super::entry::Entry;
use crate::domain::Secret;

/// A secret that ends sooner is worth a warning, in days. Long enough for whoever has to
/// ask another team for the next one.
const SOON: i64 = 30;

pub(super) fn client_secret(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<Secret>> {
    secret(
        c,
        (&e.key("client_secret"), take(&mut e.raw.client_secret)),
        (
            &e.key("client_secret_file"),
            take(&mut e.raw.client_secret_file),
        ),
    )
}

/// A secret from its key or from the file that its twin names; none if there is neither.
pub(super) fn secret(
    c: &mut Checker<'_>,
    (key, inline): (&KeyPath, Field<String>),
    (file_key, file): (&KeyPath, Field<String>),
) -> Option<Option<Secret>> {
    let (inline, file) = (c.optional(key, inline), c.optional(file_key, file));
    match (inline?, file?) {
        (None, None) => Some(None),
        (Some(_), Some(_)) => {
            let other = c.place(key);
            c.problem(
                file_key,
                format!("{key} is set too ({other}); keep one of them"),
            );
            None
        }
        (Some(text), None) if text.is_empty() => {
            c.problem(key, "must not be empty");
            None
        }
        (Some(text), None) => Some(Some(Secret::new(text))),
        (None, Some(path)) => {
            let path = c.resolve(file_key, &path);
            files::secret(c, file_key, &path).map(Some)
        }
    }
}

/// The day on which the client secret ends. Entra does not tell it to those who use the
/// secret, so somebody has to write it down.
pub(super) fn expires(c: &mut Checker<'_>, e: &mut Entry) -> Option<Option<Date>> {
    let key = e.key("client_secret_expires");
    let date = parsed(c, &key, &mut e.raw.client_secret_expires, date)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    if let Some(date) = date
        && let Some(message) = on_its_end(date, today)
    {
        c.warning(&key, message);
    }
    Some(date)
}

fn date(text: &str) -> Result<Date, &'static str> {
    // `parse` alone would also take other forms of ISO 8601, and times.
    let date = text.parse::<Date>().ok();
    let plain = |date: &Date| text.len() == 10 && date.to_string() == text;
    date.filter(plain)
        .ok_or("must be a date as in 2027-01-31: year, month and day")
}

fn on_its_end(date: Date, today: Date) -> Option<String> {
    let days = (date - today).get_days();
    match i64::from(days) {
        ..0 => Some("the secret has expired by this date; put a new one in its place".into()),
        0 => Some("the secret expires today".into()),
        1 => Some("the secret expires in 1 day".into()),
        days @ ..=SOON => Some(format!("the secret expires in {days} days")),
        _ => None,
    }
}
