//! The location of an operation, as the vendor names it.
//!
//! Following a location means sending the gateway's token there. Therefore only its path is
//! read, which must have one of two known shapes and name the publisher and offer of the
//! call; the requested path is built from the gateway's own identifiers. A host is ignored.

use uuid::Uuid;

use crate::domain::Target;

/// A status monitor of the vendor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    /// `/api/publishers/P/offers/O/operations/{guid}`: offers in Partner Center.
    Operation(Uuid),
    /// `/api/operations/P$O$2$preview`: offers not migrated to it.
    Preview,
}

impl Location {
    /// Reads a location header or a string from a body: absolute or relative, with
    /// or without query and last slash, names compared without ASCII case.
    #[must_use]
    pub fn recognize(text: &str, target: &Target) -> Option<Self> {
        let path = path_of(text)?;
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut next = || segments.next().unwrap_or_default();
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if !same(next(), "api") {
            return None;
        }
        let found = match next() {
            text if same(text, "publishers") => {
                let names_target = same(next(), target.publisher().as_str())
                    && same(next(), "offers")
                    && same(next(), target.offer().as_str());
                if !names_target || !same(next(), "operations") {
                    return None;
                }
                Self::Operation(guid(next())?)
            }
            text if same(text, "operations") => {
                let expected = format!("{}${}$2$preview", target.publisher(), target.offer());
                same(&next().replace("%24", "$"), &expected).then_some(Self::Preview)?
            }
            _ => return None,
        };
        // One trailing slash occurs in practice; anything more is another shape.
        match (segments.next(), segments.next()) {
            (None | Some(""), None) => Some(found),
            _ => None,
        }
    }

    /// The path to request, without query, built from the gateway's identifiers.
    #[must_use]
    pub fn path(&self, target: &Target) -> String {
        let (publisher, offer) = (target.publisher(), target.offer());
        match self {
            Self::Operation(guid) => {
                format!("/api/publishers/{publisher}/offers/{offer}/operations/{guid}")
            }
            Self::Preview => format!("/api/operations/{publisher}${offer}$2$preview"),
        }
    }
}

/// The path of an absolute or relative reference, without query; none if it has
/// a fragment, user info or another scheme.
fn path_of(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.len() > 2048 || text.contains(['#', '\\']) {
        return None;
    }
    let lower = text.get(..8).map(str::to_ascii_lowercase);
    let rest = match lower.as_deref() {
        Some(start) if start.starts_with("https://") => &text[8..],
        Some(start) if start.starts_with("http://") => &text[7..],
        _ if text.starts_with("//") => return None,
        _ => return Some(text.split('?').next().unwrap_or(text)),
    };
    let path = &rest[rest.find('/')?..];
    Some(path.split('?').next().unwrap_or(path))
}

fn guid(segment: &str) -> Option<Uuid> {
    (segment.len() == uuid::fmt::Hyphenated::LENGTH)
        .then(|| Uuid::try_parse(segment).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUID: &str = "56615b67-2185-49fe-80d2-c4ddf77bb2e8";

    fn target() -> Target {
        Target::sample("contoso", "contoso-vm")
    }

    #[test]
    fn knows_every_shape_that_the_vendor_uses() {
        let operation = Some(Location::Operation(GUID.parse().unwrap()));
        let path = format!("/api/publishers/contoso/offers/contoso-vm/operations/{GUID}");
        let table = [
            (format!("https://cloudpartner.azure.com{path}"), operation),
            (format!("HTTPS://evil.example:8443{path}/"), operation),
            (path.clone(), operation),
            (format!("{path}/"), operation),
            (format!("{path}?api-version=2017-10-31"), operation),
            (path.replace("contoso", "CONTOSO"), operation),
            (
                "/api/operations/contoso$contoso-vm$2$preview?api-version=2017-10-31".into(),
                Some(Location::Preview),
            ),
            (
                "/api/operations/contoso%24contoso-vm%242%24preview".into(),
                Some(Location::Preview),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Location::recognize(&text, &target()), expected, "{text}");
        }
    }

    #[test]
    fn ignores_everything_else() {
        let path = format!("/api/publishers/contoso/offers/contoso-vm/operations/{GUID}");
        for bad in [
            String::new(),
            "/".into(),
            "https://cloudpartner.azure.com".into(),
            path.replace("contoso-vm", "other-vm"),
            path.replace("publishers/contoso/", "publishers/fabrikam/"),
            path.replace("/api/", "/"),
            path.replace("operations", "submissions"),
            path.replace(GUID, "not-a-guid"),
            path.replace(GUID, &GUID.replace('-', "")),
            format!("{path}/more"),
            format!("{path}//"),
            format!("{path}#fragment"),
            format!("/x/..{path}"),
            format!("//evil.example{path}"),
            format!("ftp://evil.example{path}"),
            "/api/operations/contoso$other$2$preview".into(),
            "/api/operations/contoso$contoso-vm$2$preview/x".into(),
            "/api/operations/contoso%2524contoso-vm$2$preview".into(),
        ] {
            assert_eq!(Location::recognize(&bad, &target()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_we_build_is_what_we_recognize(bytes in any::<[u8; 16]>()) {
            let location = Location::Operation(Uuid::from_bytes(bytes));
            let path = location.path(&target());
            prop_assert_eq!(Location::recognize(&path, &target()), Some(location));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = Location::recognize(&text, &target());
            let _ = Location::recognize(&format!("https://{text}"), &target());
        }
    }
}
