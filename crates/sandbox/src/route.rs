//! The routes: the token endpoint, the portal's calls, and the sandbox's own control routes. Fixed
//! words in paths are compared without case (`slot/draft` occurs as well as `slot/Draft`), and a
//! slash at the end makes no difference.

use serde::{Deserialize, Serialize};

use super::offer::Key;
use super::wire::Request;

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The token endpoint of a tenant.
    Token { tenant: String, endpoint: Endpoint },
    /// A managed identity endpoint.
    ManagedIdentity(IdentityHost),
    /// The list of publishers.
    Publishers,
    /// The list of a publisher's offers.
    Offers { publisher: String },
    /// Something about one offer.
    Offer { key: Key, call: Call },
    /// `/_sandbox/…`, with the segments after it.
    Control(Vec<String>),
    /// A path that the vendor does not have.
    Unknown,
}

/// The versions of Entra's token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `oauth2/token`: `resource`, numbers as strings.
    V1,
    /// `oauth2/v2.0/token`: `scope`, numbers as numbers.
    V2,
}

/// Which service answers for a managed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentityHost {
    /// The instance metadata service of a virtual machine.
    VirtualMachine,
    /// App Service and the like, at `IDENTITY_ENDPOINT`.
    AppService,
}

/// A call about one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Definition,
    Version(String),
    Slot(String),
    Status,
    Submissions,
    /// By GUID.
    Operation(String),
    /// By the name of an offer that is not migrated; with the slot.
    NamedOperation(String),
    Cancel,
    Publish,
    GoLive,
}

/// The calls that a fault can affect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Cancel,
    Publish,
    GoLive,
    Submissions,
    Operations,
    /// Everything else that reads or writes offers or publishers.
    Offers,
    /// Any call to the portal.
    Portal,
    /// Any call for a token.
    Token,
    /// Everything but the control routes.
    Any,
}

impl Route {
    pub(super) fn of(request: &Request) -> Self {
        let segments = request.segments();
        if segments[0] == "_sandbox" {
            return Self::Control(segments.into_iter().skip(1).collect());
        }
        let lower: Vec<String> = segments
            .iter()
            .map(|one| one.to_ascii_lowercase())
            .collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let text = |at: usize| segments[at].clone();
        let token = |endpoint| Self::Token {
            tenant: text(0),
            endpoint,
        };
        let call = match lower[..] {
            [_, "oauth2", "token"] => return token(Endpoint::V1),
            [_, "oauth2", "v2.0", "token"] => return token(Endpoint::V2),
            ["metadata", "identity", "oauth2", "token"] => {
                return Self::ManagedIdentity(IdentityHost::VirtualMachine);
            }
            ["msi", "token"] => return Self::ManagedIdentity(IdentityHost::AppService),
            ["api", "operations", _] => {
                return Self::of_name(&segments[2]).unwrap_or(Self::Unknown);
            }
            ["api", "publishers"] => return Self::Publishers,
            ["api", "publishers", _, "offers"] => return Self::Offers { publisher: text(2) },
            ["api", "publishers", _, "offers", _, ref call @ ..] => match call {
                [] => Call::Definition,
                ["cancel"] => Call::Cancel,
                ["publish"] => Call::Publish,
                ["golive"] => Call::GoLive,
                ["submissions"] => Call::Submissions,
                ["status"] => Call::Status,
                ["operations", _] => Call::Operation(text(6)),
                ["versions", _] => Call::Version(text(6)),
                ["slot", _] => Call::Slot(text(6)),
                _ => return Self::Unknown,
            },
            _ => return Self::Unknown,
        };
        let key = Key::new(&segments[2], &segments[4]);
        Self::Offer { key, call }
    }

    /// `P$O$2$preview`: the operation of an offer that is not migrated.
    fn of_name(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('$').collect();
        let [publisher, offer, number, slot] = parts[..] else {
            return None;
        };
        number.parse::<u64>().ok()?;
        let key = Key::new(publisher, offer);
        let call = Call::NamedOperation(slot.to_owned());
        Some(Self::Offer { key, call })
    }

    /// The offer that the call is about.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Self::Offer { key, .. } => Some(key),
            _ => None,
        }
    }

    pub(super) fn is_for_token(&self) -> bool {
        matches!(self, Self::Token { .. } | Self::ManagedIdentity(_))
    }

    /// The control route that says whether the sandbox is running.
    pub(super) fn is_health(&self) -> bool {
        matches!(self, Self::Control(segments) if *segments == ["v1", "health"])
    }

    /// Cancel, publish and golive.
    pub(super) fn is_action(&self) -> bool {
        matches!(
            self.subject(),
            Subject::Cancel | Subject::Publish | Subject::GoLive
        )
    }

    /// The narrowest subject of the call.
    fn subject(&self) -> Subject {
        match self {
            Self::Token { .. } | Self::ManagedIdentity(_) => Subject::Token,
            Self::Publishers | Self::Offers { .. } => Subject::Offers,
            Self::Unknown | Self::Control(_) => Subject::Portal,
            Self::Offer { call, .. } => match call {
                Call::Definition | Call::Version(_) | Call::Slot(_) | Call::Status => {
                    Subject::Offers
                }
                Call::Submissions => Subject::Submissions,
                Call::Operation(_) | Call::NamedOperation(_) => Subject::Operations,
                Call::Cancel => Subject::Cancel,
                Call::Publish => Subject::Publish,
                Call::GoLive => Subject::GoLive,
            },
        }
    }
}

impl Subject {
    /// Whether that call is among these.
    pub(super) fn covers(self, route: &Route) -> bool {
        match self {
            Self::Any => true,
            Self::Portal => !route.is_for_token(),
            narrow => narrow == route.subject(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> Route {
        Route::of(&Request {
            method: "GET".into(),
            path: path.into(),
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            framed: false,
            keep_alive: true,
            connection: 1,
            plaintext: false,
        })
    }

    fn call(path: &str) -> Option<Call> {
        match route(path) {
            Route::Offer { call, .. } => Some(call),
            _ => None,
        }
    }

    #[test]
    fn every_call_of_the_portal_is_known() {
        let offer = "/api/publishers/contoso/offers/vm";
        for (path, expected) in [
            ("", Call::Definition),
            ("/", Call::Definition),
            ("/cancel", Call::Cancel),
            ("/publish", Call::Publish),
            ("/GoLive", Call::GoLive),
            ("/submissions", Call::Submissions),
            ("/submissions/", Call::Submissions),
            ("/operations/x/", Call::Operation("x".into())),
            ("/slot/draft", Call::Slot("draft".into())),
            ("/versions/3", Call::Version("3".into())),
            ("/status", Call::Status),
        ] {
            assert_eq!(call(&format!("{offer}{path}")), Some(expected), "{path}");
        }
        assert_eq!(route("/api/publishers/"), Route::Publishers);
        assert_eq!(route(&format!("{offer}/cancel/x")), Route::Unknown);
        assert_eq!(
            route("/api/publishers/contoso/others/vm/cancel"),
            Route::Unknown
        );
    }

    #[test]
    fn an_operation_can_be_a_name() {
        for path in [
            "/api/operations/contoso$vm$2$preview",
            "/api/operations/contoso%24vm%242%24preview/",
        ] {
            let route = route(path);
            assert_eq!(route.key().map(|key| key.offer.as_str()), Some("vm"));
            assert!(Subject::Operations.covers(&route));
        }
        for path in ["contoso$vm$2", "contoso$vm$x$preview", "a$b$2$preview$c"] {
            assert_eq!(route(&format!("/api/operations/{path}")), Route::Unknown);
        }
    }

    #[test]
    fn both_token_endpoints_and_the_identity_endpoints_are_known() {
        let tenant = "sandbox".to_owned();
        let endpoint = Endpoint::V2;
        assert_eq!(
            route("/sandbox/oauth2/v2.0/token"),
            Route::Token { tenant, endpoint }
        );
        assert!(route("/metadata/identity/oauth2/token").is_for_token());
        assert!(route("/msi/token").is_for_token());
        assert!(!Subject::Portal.covers(&route("/sandbox/oauth2/token")));
    }
}
