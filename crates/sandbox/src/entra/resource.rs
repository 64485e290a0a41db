//! The resources that a token can be for.

/// The one resource whose tokens the portal accepts.
pub(super) const PORTAL: &str = "https://cloudpartner.azure.com";
/// The resources of the tenant; the portal refuses tokens for the others.
const RESOURCES: [&str; 3] = [
    PORTAL,
    "https://management.azure.com",
    "https://graph.microsoft.com",
];

/// The resource as the tenant names it; a slash at the end makes no difference.
pub(super) fn known_resource(resource: &str) -> Option<&'static str> {
    let plain = resource.strip_suffix('/').unwrap_or(resource);
    let mut all = RESOURCES.into_iter();
    all.find(|known| known.eq_ignore_ascii_case(plain))
}
