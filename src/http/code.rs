//! Every way in which a request can end badly: a stable code each, with its
//! status, its title and what to do about it. `GET /problems/{code}` shows this table.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $status:literal $word:literal $title:literal $help:literal,)+) => {
        /// A problem's `code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $name,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in the `code` member.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                let status = match self { $(Self::$name => $status,)+ };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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
    InvalidOfferId = 400 "invalid-offer-id" "The offer id is malformed"
        "Use 1 to 128 characters of A-Z a-z 0-9 . _ - and not \".\" or \"..\".",
    InvalidPublisherId = 400 "invalid-publisher-id" "The publisher id is missing or malformed"
        "Use the /publishers/{publisherId}/offers/… form of the route, or have the operator configure default_publisher for you.",
    InvalidBody = 400 "invalid-body" "The body is not what the route takes"
        "Send nothing, or {\"notificationEmails\": [\"a@b.c\"]}.",
    InvalidHeader = 400 "invalid-header" "A header is not what the route takes"
        "Correct the header that the detail names, or leave it out.",
    InvalidQuery = 400 "invalid-query" "The query is not what the route takes"
        "Leave out the query; actions take none.",
    PortalRejectedRequest = 400 "portal-rejected-request" "The vendor rejected the request"
        "Read portal.message; the vendor says what it did not like.",
    Unauthenticated = 401 "unauthenticated" "The request does not say who is asking"
        "WWW-Authenticate says what is accepted: an API key in X-Api-Key, a bearer token, or a client certificate; exactly one of them. If you sent one, ask the operator, whose log says why it was refused.",
    CallerNotAllowed = 403 "caller-not-allowed" "You may not do this to this offer"
        "Ask the operator of the gateway for an allow rule with this action, publisher and offer; `offergate policy explain` tells them what is missing.",
    PublisherAccessDenied = 403 "publisher-access-denied" "The vendor does not let the gateway act for this publisher"
        "The operator must add the gateway's application to the publisher's account; a usual mistake is to give the role to the wrong object id.",
    RouteNotFound = 404 "route-not-found" "There is no such route"
        "Check the path against the README's table of routes.",
    OfferNotFound = 404 "offer-not-found" "The vendor knows no such offer"
        "Check the offer id and the publisher id; the vendor compares them with its own.",
    OperationNotFound = 404 "operation-not-found" "There is no such operation of yours"
        "Use the operationLocation as it was returned, with the credential that asked for it.",
    MethodNotAllowed = 405 "method-not-allowed" "The route does not take this method"
        "The Allow header says which it takes.",
    RequestTimeout = 408 "request-timeout" "The request did not arrive in time"
        "Send the whole body at once.",
    Conflict = 409 "conflict" "The vendor reports a conflict"
        "Another operation of the offer may be running; look at it and ask again.",
    IdempotencyKeyInUse = 409 "idempotency-key-in-use" "The first request with this Idempotency-Key is not answered yet"
        "Ask again with the same key after the time that Retry-After says; you will get the first request's answer.",
    PreconditionFailed = 412 "precondition-failed" "The vendor reports that a precondition failed"
        "The offer has changed in the meantime; read it again.",
    BodyTooLarge = 413 "body-too-large" "The body is too large"
        "Twenty addresses fit easily; send less.",
    UriTooLong = 414 "uri-too-long" "The URI is too long"
        "No route of the gateway needs one that long.",
    UnsupportedMediaType = 415 "unsupported-media-type" "The body is not JSON"
        "Send Content-Type: application/json, without Content-Encoding.",
    IdempotencyKeyReused = 422 "idempotency-key-reused" "This Idempotency-Key came with another request"
        "Use a new key for every new request, and the same key only to repeat one exactly.",
    PortalValidationFailed = 422 "portal-validation-failed" "The vendor's validation failed"
        "Read portal.message; correct the offer and ask again.",
    RateLimited = 429 "rate-limited" "You ask too much at a time"
        "Wait for the time that Retry-After says. RateLimit-Policy tells what you may; the operator can give you more.",
    PortalThrottled = 429 "portal-throttled" "The vendor is throttling"
        "Wait for the time that Retry-After says.",
    HeadersTooLarge = 431 "headers-too-large" "The headers are too large"
        "Send fewer or shorter headers.",
    InternalError = 500 "internal-error" "Something is wrong in the gateway"
        "Tell the operator the requestId.",
    PortalRejectedCredential = 502 "portal-rejected-credential" "The vendor refuses the gateway's token"
        "The operator must look at the credential: offergate check says what is wrong.",
    PortalBadResponse = 502 "portal-bad-response" "The vendor's answer could not be understood"
        "The request may have been carried out: follow operationLocation.",
    PortalFailed = 502 "portal-failed" "The vendor failed or could not be reached"
        "If delivered is not \"no\", the request may have been carried out: follow operationLocation.",
    CredentialUnavailable = 503 "credential-unavailable" "The gateway has no usable token at the moment"
        "Ask again after the time that Retry-After says. The operator finds the reason in /readyz and in the log.",
    IssuerUnavailable = 503 "issuer-unavailable" "The keys of your token's issuer are not available at the moment"
        "Ask again after the time that Retry-After says. The operator finds the reason in /readyz and in the log.",
    LedgerUnavailable = 503 "ledger-unavailable" "The gateway cannot record operations at the moment"
        "If delivered is \"no\", nothing was sent: ask again after the time that Retry-After says. Else follow operationLocation.",
    Overloaded = 503 "overloaded" "The gateway has too much to do at the moment"
        "Ask again after the time that Retry-After says.",
    Draining = 503 "draining" "This gateway is shutting down"
        "Ask again: another instance, or this one's successor, will answer.",
    PortalTimeout = 504 "portal-timeout" "The vendor could not be reached in time"
        "Nothing was sent; ask again.",
}

impl Code {
    /// The code that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// Whether asking again can help, as far as the code alone says.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self == Self::IdempotencyKeyInUse || matches!(self.status().as_u16(), 408 | 429 | 503 | 504)
    }
}
