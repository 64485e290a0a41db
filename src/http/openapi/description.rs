//! What the document says about one method of a route, as far as it is not the same for all.

use utoipa::openapi::Response;
use utoipa::openapi::request_body::RequestBody;

use crate::domain::ProblemCode;

/// A group of routes in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Actions on offers.
    Actions,
    /// What became of them.
    Operations,
    /// The contract itself.
    Contract,
}

impl Topic {
    /// Every topic, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Actions, Self::Operations, Self::Contract];

    /// Its name in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actions => "Actions",
            Self::Operations => "Operations",
            Self::Contract => "Contract",
        }
    }

    /// What its routes are for.
    pub fn text(self) -> &'static str {
        match self {
            Self::Actions => "Act on an offer. An action is sent to the vendor once.",
            Self::Operations => {
                "Follow what was requested to its end. An operation is visible to the caller that \
                 requested it."
            }
            Self::Contract => {
                "This description and the explanations of problems. They hold no secret and need \
                 no credential."
            }
        }
    }
}

/// What the document says about one method of a route. The parameters in its path, and the
/// answers that every route or every authenticated one can give, are added by themselves.
pub struct Description {
    /// The group that it stands in.
    pub topic: Topic,
    /// What it does, in a line.
    pub summary: &'static str,
    /// The rest, in the Markdown that [`prose`](crate::http::page::prose) reads.
    pub text: &'static str,
    /// The request headers that mean something here.
    pub headers: &'static [&'static str],
    /// The request's body.
    pub body: Option<RequestBody>,
    /// The answers that are no problems, by status.
    pub answers: Vec<(u16, Response)>,
    /// The problems that only routes like this one have.
    pub problems: &'static [ProblemCode],
    /// Whether it needs a credential.
    pub authenticated: bool,
}
