//! Marked secrets, and the search for them in all output, for the canary tests.

use crate::helpers::KEY;

/// Needs encoding in a form, so that it has two spellings.
pub const SECRET: &str = "CnrySecret~with/some+odd&letters=AndAlphanumericRun0123456789";
/// Over and over in every token's signature. Short, so that 24 characters of a
/// signature hold it whole.
pub const TOKEN_MARK: &str = "CnryTokn";

/// The beginning of every JWT: `{"` and a letter, encoded.
const TOKEN_START: &str = "eyJ";

/// The windows of a text, none of which may appear in output.
pub fn windows(text: &str) -> impl Iterator<Item = &str> {
    (0..=text.len() - 16).map(|at| &text[at..at + 16])
}

/// The first mark in a text: the token's, or 16 characters in a row of a secret or
/// key, as it is or as it stands in a form.
pub fn leak(text: &str) -> Option<&str> {
    let encoded = serde_urlencoded::to_string([("", SECRET)]).unwrap();
    let secrets = [SECRET, encoded.trim_start_matches('='), KEY];
    let at = |mark: &str| text.find(mark);
    let token = at(TOKEN_MARK).or_else(|| at(TOKEN_START));
    let found = token.or_else(|| secrets.iter().flat_map(|s| windows(s)).find_map(at));
    found.map(|at| &text[text.floor_char_boundary(at.saturating_sub(80))..])
}

#[track_caller]
pub fn assert_clean(what: &str, text: &str) {
    if let Some(found) = leak(text) {
        let found: String = found.chars().take(200).collect();
        panic!("{what} leaks: …{found}…");
    }
}

/// A part of one of these secrets that is in a text: 16 characters that begin at a
/// multiple of eight, and so something of any 24 in a row; of what is shorter, the end.
pub fn part_in<'s>(text: &str, secrets: &'s [String]) -> Option<&'s str> {
    let parts = |secret: &'s String| {
        let starts = (0..secret.len().saturating_sub(15)).step_by(8);
        let end = secret.len().saturating_sub(16);
        starts.chain([end]).filter_map(|at| secret.get(at..at + 16))
    };
    secrets
        .iter()
        .flat_map(parts)
        .find(|part| text.contains(part))
}

#[track_caller]
pub fn assert_none_of(what: &str, text: &str, secrets: &[String]) {
    assert_clean(what, text);
    let part = part_in(text, secrets);
    assert!(part.is_none(), "{what} leaks {part:?} of a secret");
}
