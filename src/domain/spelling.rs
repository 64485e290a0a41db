//! Misspelled names: which one was meant.

/// The known name that was most likely meant, if one is close enough.
#[must_use]
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let known = known.into_iter();
    let (_, name) = known
        .map(|name| (strsim::levenshtein(name, written), name))
        .min()
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len() / 2)?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_if_two_changes_make_it() {
        let known = ["listen", "workers", "id"];
        for (written, expected) in [
            ("listne", Some("listen")),
            ("Listen", Some("listen")),
            ("worker", Some("workers")),
            ("lst", None),
            // Too short to tell.
            ("ix", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }
}
