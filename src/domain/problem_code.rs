//! The stable codes of everything that can go wrong, each with its HTTP status, title, cause
//! and remedy. A problem document carries one, and so does the error of a failed operation.
//! This table is the only place of these texts: `GET /problems/{code}` and the API's
//! description show them.

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

impl Origin {
    /// The text used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Portal => "portal",
            Self::IdentityProvider => "identity-provider",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $origin:ident $status:literal $text:literal $title:literal $cause:literal $help:literal,)+) => {
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

            /// What has happened, and why.
            #[must_use]
            pub fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)+ }
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
        "The offer id in the path is empty, too long, or has a character that no offer id has. The path is checked after percent-decoding."
        "Use 1 to 128 characters of A-Z a-z 0-9 . _ - and not \".\" or \"..\".",
    InvalidPublisherId = Gateway 400 "invalid-publisher-id" "The publisher id is missing or malformed"
        "The publisher id in the path is malformed; or the path names no publisher and this caller has no default one."
        "Use the /publishers/{publisherId}/offers/… form of the route, or have the operator configure default_publisher for this caller.",
    InvalidBody = Gateway 400 "invalid-body" "The body is not valid for this route"
        "The body is not JSON, has a member that this route does not know, or an address in it is malformed; or it ended before its announced length. The detail names the member, never its value."
        "Send no body, or {\"notificationEmails\": [\"a@b.c\"]}.",
    InvalidHeader = Gateway 400 "invalid-header" "A header is not valid for this route"
        "A header is malformed, or one that this route does not support would change what the request means; or what arrived is not an HTTP/1.1 request at all."
        "Correct or remove the header that the detail names.",
    InvalidQuery = Gateway 400 "invalid-query" "The query is not valid for this route"
        "The request has a query, and this route accepts none. A misspelled parameter is refused, never ignored."
        "Remove the query; actions accept none.",
    PortalRejectedRequest = Portal 400 "portal-rejected-request" "The vendor rejected the request"
        "The vendor received the request and answered 400. Nothing was done."
        "Read portal.message for the vendor's reason.",
    Unauthenticated = Gateway 401 "unauthenticated" "Authentication is required"
        "The request has no credential, several, or one that is not accepted. Which of a credential's checks failed is withheld."
        "Send exactly one credential that WWW-Authenticate names: an API key in X-Api-Key, a bearer token, or a client certificate. If you sent one, ask the operator: the gateway's log has the reason for the refusal.",
    CallerNotAllowed = Gateway 403 "caller-not-allowed" "The caller is not allowed to make this request"
        "The credential is valid, but no allow rule of its caller covers this action on this offer, or the credential belongs to no configured caller."
        "Read the detail. If no allow rule matches, ask the operator for one with this action, publisher and offer; if the credential belongs to no caller, ask the operator to add it to [[callers]]. `offergate policy explain` shows what is missing.",
    PublisherAccessDenied = Portal 403 "publisher-access-denied" "The vendor does not let the gateway act for this publisher"
        "The vendor answered 403: the gateway's application has no rights in this publisher's account. Nothing was done."
        "The operator must add the gateway's application to the publisher's account. A common mistake is to assign the role to the wrong object id.",
    RouteNotFound = Gateway 404 "route-not-found" "There is no such route"
        "No route has this path. Paths are case-sensitive, and a trailing slash makes another path."
        "Check the path: GET /docs lists every route.",
    OfferNotFound = Portal 404 "offer-not-found" "The vendor has no such offer"
        "The vendor answered 404: this publisher has no offer with this id. Nothing was done."
        "Check the offer id and the publisher id against the vendor's.",
    OperationNotFound = Gateway 404 "operation-not-found" "This caller has no such operation"
        "The id is malformed, the operation was requested by another caller, or it is older than ledger.retention_days."
        "Use operationLocation as it was returned, with the credential of the caller that requested the operation.",
    MethodNotAllowed = Gateway 405 "method-not-allowed" "The route does not support this method"
        "The route exists, but not with this method."
        "Use one of the methods in the Allow header.",
    RequestTimeout = Gateway 408 "request-timeout" "The request did not arrive in time"
        "The head or the body took longer to arrive than the gateway waits. Nothing was sent to the vendor."
        "Send head and body without a pause; their limits are server.head_timeout_ms and server.body_timeout_ms.",
    Conflict = Portal 409 "conflict" "The vendor reports a conflict"
        "The vendor answered 409: the offer's state does not admit the action, often since another operation is running. Nothing was done."
        "Another operation of the offer may be running; check the offer's state, then repeat the request.",
    IdempotencyKeyInUse = Gateway 409 "idempotency-key-in-use" "The first request with this Idempotency-Key is still being processed"
        "The first request with this key has no answer yet, so there is nothing to repeat."
        "Repeat the request with the same key after the time in Retry-After; it gets the first request's answer.",
    PreconditionFailed = Portal 412 "precondition-failed" "The vendor reports that a precondition failed"
        "The vendor answered 412: the offer is no longer in the state that the request expects. Nothing was done."
        "The offer has changed in the meantime; read it again.",
    BodyTooLarge = Gateway 413 "body-too-large" "The body is too large"
        "The body is longer than server.max_body_bytes. Nothing was sent to the vendor."
        "Send a smaller body; the default limit has room for twenty addresses.",
    UriTooLong = Gateway 414 "uri-too-long" "The URI is too long"
        "Path and query together are longer than server.max_uri_bytes."
        "Check the path: GET /docs lists every route, and none needs a long one.",
    UnsupportedMediaType = Gateway 415 "unsupported-media-type" "The body is not JSON"
        "The body has another Content-Type than application/json, or a Content-Encoding."
        "Send Content-Type: application/json, without Content-Encoding.",
    IdempotencyKeyReused = Gateway 422 "idempotency-key-reused" "This Idempotency-Key was already used for a different request"
        "An earlier request with this key had another action, offer or body. Nothing was sent to the vendor."
        "Use a new key for every new request, and the same key only to repeat the same request.",
    PortalValidationFailed = Portal 422 "portal-validation-failed" "The vendor's validation failed"
        "The vendor answered 422: the offer does not pass its validation. Nothing was done."
        "Read portal.message, correct the offer and repeat the request.",
    RateLimited = Gateway 429 "rate-limited" "A limit on requests, actions or streams has been reached"
        "This caller has made too many requests, has too many actions or waits at a time, or has stored too many idempotency keys. The detail names the limit. Nothing was sent to the vendor."
        "Wait for the time in Retry-After. RateLimit-Policy shows the request rate; the operator can raise the limit that the detail names.",
    PortalThrottled = Portal 429 "portal-throttled" "The vendor is throttling"
        "The vendor answered 429: too many requests for this publisher, from the gateway or from elsewhere. Nothing was done."
        "Wait for the time in Retry-After.",
    HeadersTooLarge = Gateway 431 "headers-too-large" "The headers are too large"
        "The headers together are longer than server.max_header_bytes, or there are too many."
        "Send fewer or shorter headers.",
    InternalError = Gateway 500 "internal-error" "The gateway has an internal error"
        "Something in the gateway that must not happen. If there is an operationLocation, the action may have been carried out."
        "Report the requestId to the operator.",
    PortalRejectedCredential = Portal 502 "portal-rejected-credential" "The vendor rejects the gateway's token"
        "The vendor answered 401 to the gateway's own token, and to a new one. Your credential is not the reason. Nothing was done."
        "The operator must check the credential: `offergate check` shows what is wrong.",
    PortalBadResponse = Portal 502 "portal-bad-response" "The vendor's answer could not be understood"
        "What answered is not the vendor's API as it is documented: a redirect, or no HTTP. A proxy in between may be the reason."
        "The request may have been carried out: follow operationLocation.",
    PortalFailed = Portal 502 "portal-failed" "The vendor failed or could not be reached"
        "The vendor answered with a server error, or no connection to it could be made."
        "If retryable is true, nothing was done: repeat the request after the time in Retry-After. Otherwise it may have been carried out: follow operationLocation.",
    CredentialUnavailable = IdentityProvider 503 "credential-unavailable" "The gateway has no usable token at the moment"
        "The gateway's own token for the vendor has run out or was never issued, and the token endpoint has not issued another. Nothing was sent."
        "Repeat the request after the time in Retry-After. The operator finds the reason in /readyz and in the log.",
    IssuerUnavailable = IdentityProvider 503 "issuer-unavailable" "The keys of the token's issuer are not available at the moment"
        "A bearer token can only be verified with its issuer's public keys, and they could not be fetched. Nothing was sent."
        "Repeat the request after the time in Retry-After. The operator finds the reason in /readyz and in the log.",
    LedgerUnavailable = Gateway 503 "ledger-unavailable" "The gateway cannot record operations at the moment"
        "Every action is recorded before it is sent and once it is over, and the ledger cannot take the record or be read."
        "If delivered is \"no\", nothing was sent: repeat the request after the time in Retry-After. Otherwise follow operationLocation.",
    Overloaded = Gateway 503 "overloaded" "The gateway is overloaded"
        "The gateway carries out as many actions at a time as it can, or its ledger's queue is full; or it has no file descriptor or memory left for a connection to the vendor. Nothing was sent."
        "Repeat the request after the time in Retry-After.",
    Draining = Gateway 503 "draining" "This gateway is shutting down"
        "The gateway process that received the request is ending and accepts no new actions. Nothing was sent."
        "Repeat the request: another instance, or this one's successor, will answer.",
    PortalTimeout = Portal 504 "portal-timeout" "The vendor could not be reached in time"
        "No connection to the vendor could be made within portal.connect_timeout_ms."
        "Nothing was sent: repeat the request after the time in Retry-After. The operator can raise portal.connect_timeout_ms.",
    // Codes of operations only: the answer that shows one is 200.
    AlreadyCompleted = Portal 200 "already-completed" "The publish completed before the cancel could take effect"
        "The vendor accepted the cancel, but the publish that it applied to ended as completed."
        "The offer was published; publish again if that is not what you want.",
    NotCanceled = Portal 200 "not-canceled" "The publish is still running after the cancel"
        "The vendor accepted the cancel, but the publish that it applied to was still running after operations.give_up_seconds."
        "Check the offer in Partner Center, then cancel again.",
    OutcomeUnknown = Portal 200 "outcome-unknown" "The outcome could not be determined"
        "What the vendor's data shows does not prove how the cancel ended, so the gateway does not claim an outcome."
        "Read the operation's error.message for the reason, and check the offer in Partner Center.",
}

impl ProblemCode {
    /// Whether it is the code of an operation only, never of a problem.
    #[must_use]
    pub fn is_of_operation(self) -> bool {
        self.status() < 400
    }

    /// Whether an operation can end with this code, or be recorded by a request that is answered
    /// with it: the vendor's refusals, and what keeps a recorded action from being sent.
    #[must_use]
    pub fn ends_operations(self) -> bool {
        match self {
            Self::InternalError
            | Self::LedgerUnavailable
            | Self::CredentialUnavailable
            | Self::Overloaded => true,
            _ => self.origin() == Origin::Portal,
        }
    }

    /// Whether repeating the request can help, as far as the code alone says.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self == Self::IdempotencyKeyInUse || matches!(self.status(), 408 | 429 | 503 | 504)
    }

    /// Whether repeating the request helps, for people.
    #[must_use]
    pub fn retry_advice(self) -> &'static str {
        match self {
            _ if self.is_of_operation() => {
                "The operation has ended and does not change any more. A new request is a new \
                 operation; make one only after what is said above."
            }
            Self::PortalFailed | Self::LedgerUnavailable => {
                "Only if retryable is true: repeat the request after the time in Retry-After. \
                 Otherwise the action may have been carried out, and a repetition could do it twice."
            }
            _ if self.is_retryable() => {
                "Yes: repeat the same request after the time in Retry-After. It was not carried out."
            }
            Self::PortalBadResponse | Self::InternalError => {
                "No: the action may have been carried out, and a repetition could do it twice. If \
                 there is no operationLocation, nothing was sent."
            }
            _ => "Not by itself: the same request fails again until its cause is removed.",
        }
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
