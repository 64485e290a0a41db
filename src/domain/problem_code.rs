//! The stable codes of everything that can go wrong, each with its HTTP status, title and
//! remedy. A problem document carries one, and so does the error of a failed operation;
//! `GET /problems/{code}` shows this table.

use serde::{Serialize, Serializer};

/// The party at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The gateway, or the request itself.
    Gateway,
    /// The vendor.
    Portal,
    /// The token endpoint, or an issuer of callers' tokens.
    IdentityProvider,
}

macro_rules! codes {
    ($($name:ident = $origin:ident $status:literal $text:literal $title:literal $help:literal,)+) => {
        /// A problem's `code`, or that of an operation's `error`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemCode {
            $(#[doc = $title] $name,)+
        }

        impl ProblemCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The text used in JSON, in the log and in the ledger.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The code that `text` stands for, if any.
            #[must_use]
            pub fn from_name(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }

            /// The HTTP status of the answer that carries it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// The party at fault.
            #[must_use]
            pub fn origin(self) -> Origin {
                match self { $(Self::$name => Origin::$origin,)+ }
            }

            /// One line that is the same for every problem of this code.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What to do about it.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)+ }
            }
        }
    };
}

codes! {
    InvalidOfferId = Gateway 400 "invalid-offer-id" "The offer id is malformed"
        "Use 1 to 128 characters of A-Z a-z 0-9 . _ - and not \".\" or \"..\".",
    InvalidPublisherId = Gateway 400 "invalid-publisher-id" "The publisher id is missing or malformed"
        "Use the /publishers/{publisherId}/offers/… form of the route, or have the operator configure default_publisher for this caller.",
    InvalidBody = Gateway 400 "invalid-body" "The body is not valid for this route"
        "Send no body, or {\"notificationEmails\": [\"a@b.c\"]}.",
    InvalidHeader = Gateway 400 "invalid-header" "A header is not valid for this route"
        "Correct or remove the header that the detail names.",
    InvalidQuery = Gateway 400 "invalid-query" "The query is not valid for this route"
        "Remove the query; actions accept none.",
    PortalRejectedRequest = Portal 400 "portal-rejected-request" "The vendor rejected the request"
        "Read portal.message for the vendor's reason.",
    Unauthenticated = Gateway 401 "unauthenticated" "Authentication is required"
        "Send exactly one credential that WWW-Authenticate names: an API key in X-Api-Key, a bearer token, or a client certificate. If you sent one, ask the operator: the gateway's log has the reason for the refusal.",
    CallerNotAllowed = Gateway 403 "caller-not-allowed" "The caller is not allowed to make this request"
        "Read the detail. If no allow rule matches, ask the operator for one with this action, publisher and offer; if the credential belongs to no caller, ask the operator to add it to [[callers]]. `offergate policy explain` shows what is missing.",
    PublisherAccessDenied = Portal 403 "publisher-access-denied" "The vendor does not let the gateway act for this publisher"
        "The operator must add the gateway's application to the publisher's account. A common mistake is to assign the role to the wrong object id.",
    RouteNotFound = Gateway 404 "route-not-found" "There is no such route"
        "Check the path against the table of routes in docs/api.md.",
    OfferNotFound = Portal 404 "offer-not-found" "The vendor has no such offer"
        "Check the offer id and the publisher id against the vendor's.",
    OperationNotFound = Gateway 404 "operation-not-found" "This caller has no such operation"
        "Use operationLocation as it was returned, with the credential of the caller that requested the operation.",
    MethodNotAllowed = Gateway 405 "method-not-allowed" "The route does not support this method"
        "Use one of the methods in the Allow header.",
    RequestTimeout = Gateway 408 "request-timeout" "The request did not arrive in time"
        "Send head and body without a pause; their limits are server.head_timeout_ms and server.body_timeout_ms.",
    Conflict = Portal 409 "conflict" "The vendor reports a conflict"
        "Another operation of the offer may be running; check the offer's state, then repeat the request.",
    IdempotencyKeyInUse = Gateway 409 "idempotency-key-in-use" "The first request with this Idempotency-Key is still being processed"
        "Repeat the request with the same key after the time in Retry-After; it gets the first request's answer.",
    PreconditionFailed = Portal 412 "precondition-failed" "The vendor reports that a precondition failed"
        "The offer has changed in the meantime; read it again.",
    BodyTooLarge = Gateway 413 "body-too-large" "The body is too large"
        "Send a smaller body; the default limit has room for twenty addresses.",
    UriTooLong = Gateway 414 "uri-too-long" "The URI is too long"
        "Check the path against the table of routes in docs/api.md.",
    UnsupportedMediaType = Gateway 415 "unsupported-media-type" "The body is not JSON"
        "Send Content-Type: application/json, without Content-Encoding.",
    IdempotencyKeyReused = Gateway 422 "idempotency-key-reused" "This Idempotency-Key was already used for a different request"
        "Use a new key for every new request, and the same key only to repeat the same request.",
    PortalValidationFailed = Portal 422 "portal-validation-failed" "The vendor's validation failed"
        "Read portal.message, correct the offer and repeat the request.",
    RateLimited = Gateway 429 "rate-limited" "A limit on requests, actions or streams has been reached"
        "Wait for the time in Retry-After. RateLimit-Policy shows the request rate; the operator can raise the limit that the detail names.",
    PortalThrottled = Portal 429 "portal-throttled" "The vendor is throttling"
        "Wait for the time in Retry-After.",
    HeadersTooLarge = Gateway 431 "headers-too-large" "The headers are too large"
        "Send fewer or shorter headers.",
    InternalError = Gateway 500 "internal-error" "The gateway has an internal error"
        "Report the requestId to the operator.",
    PortalRejectedCredential = Portal 502 "portal-rejected-credential" "The vendor rejects the gateway's token"
        "The operator must check the credential: `offergate check` shows what is wrong.",
    PortalBadResponse = Portal 502 "portal-bad-response" "The vendor's answer could not be understood"
        "The request may have been carried out: follow operationLocation.",
    PortalFailed = Portal 502 "portal-failed" "The vendor failed or could not be reached"
        "If retryable is true, nothing was done: repeat the request after the time in Retry-After. Otherwise it may have been carried out: follow operationLocation.",
    CredentialUnavailable = IdentityProvider 503 "credential-unavailable" "The gateway has no usable token at the moment"
        "Repeat the request after the time in Retry-After. The operator finds the reason in /readyz and in the log.",
    IssuerUnavailable = IdentityProvider 503 "issuer-unavailable" "The keys of the token's issuer are not available at the moment"
        "Repeat the request after the time in Retry-After. The operator finds the reason in /readyz and in the log.",
    LedgerUnavailable = Gateway 503 "ledger-unavailable" "The gateway cannot record operations at the moment"
        "If delivered is \"no\", nothing was sent: repeat the request after the time in Retry-After. Otherwise follow operationLocation.",
    Overloaded = Gateway 503 "overloaded" "The gateway is overloaded"
        "Repeat the request after the time in Retry-After.",
    Draining = Gateway 503 "draining" "This gateway is shutting down"
        "Repeat the request: another instance, or this one's successor, will answer.",
    PortalTimeout = Portal 504 "portal-timeout" "The vendor could not be reached in time"
        "Nothing was sent: repeat the request after the time in Retry-After. The operator can raise portal.connect_timeout_ms.",
    // Codes of operations only: the answer that shows one is 200.
    AlreadyCompleted = Portal 200 "already-completed" "The publish completed before the cancel could take effect"
        "The offer was published; publish again if that is not what you want.",
    NotCanceled = Portal 200 "not-canceled" "The publish is still running after the cancel"
        "Check the offer in Partner Center, then cancel again.",
    OutcomeUnknown = Portal 200 "outcome-unknown" "The outcome could not be determined"
        "Read the operation's error.message for the reason, and check the offer in Partner Center.",
}

impl ProblemCode {
    /// Whether it is the code of an operation only, never of a problem.
    #[must_use]
    pub fn is_of_operation(self) -> bool {
        self.status() < 400
    }

    /// Whether repeating the request can help, as far as the code alone says.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self == Self::IdempotencyKeyInUse || matches!(self.status(), 408 | 429 | 503 | 504)
    }
}

impl Serialize for ProblemCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back() {
        for code in ProblemCode::ALL {
            assert_eq!(ProblemCode::from_name(code.as_str()), Some(*code));
        }
        assert_eq!(ProblemCode::from_name("no-such-code"), None);
    }
}
