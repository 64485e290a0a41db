//! The explanation for a token: whether it is valid, which caller it identifies, and whether
//! that caller may perform the action.

use serde_json::Value;
use tokio::task::spawn_local;

use super::query::{Explanation, PolicyQuery};
use super::rejection;
use super::text::{listed, quoted, shown};
use crate::domain::IDENTIFYING_CLAIMS;
use crate::identity::{
    CallerMatch, Claims, Issuer, KeySet, KeyStore, TokenError, Tokens, UnverifiedToken, VerifyError,
};
use crate::startup::access::NewKeyRefresher;

/// The source of the keys for checking a signature.
pub enum SignatureKeys {
    /// From a file.
    File(KeySet),
    /// From the issuer: the refreshers of all issuers, in their order.
    Issuer(Vec<NewKeyRefresher>),
    /// The signature is not checked.
    Offline,
}

/// Why a token could not be verified.
enum CheckFailure {
    /// The gateway rejects it.
    Rejected(TokenError),
    /// Its signature cannot be checked.
    NotChecked(String),
}

/// A parsed token and the issuers and callers that it may match.
struct ParsedToken<'a> {
    tokens: &'a Tokens,
    token: UnverifiedToken<'a>,
}

/// Whether the caller that the token identifies may perform the action.
pub async fn explain(
    query: &PolicyQuery<'_>,
    tokens: &Tokens,
    text: &str,
    keys: SignatureKeys,
) -> Explanation {
    let parsed = match UnverifiedToken::read(text) {
        Ok(token) => ParsedToken { tokens, token },
        Err(reason) => {
            let signature = format!("signature: {}", rejection::signature(reason));
            let remedy = rejection::remedy_unread(reason).to_owned();
            return Explanation::denied(&rejection::verdict(reason), [remedy, signature]);
        }
    };
    match parsed.verify(keys).await {
        Ok(()) => parsed.explain(query, "good", Verification::Verified),
        Err(CheckFailure::Rejected(reason)) => {
            parsed.rejected(reason, rejection::signature(reason))
        }
        Err(CheckFailure::NotChecked(why)) => {
            parsed.unverified(query, &format!("not checked: {why}"))
        }
    }
}

/// Whether the token was verified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verification {
    Verified,
    Unverified,
}

impl ParsedToken<'_> {
    /// Checks the token as the gateway does.
    async fn verify(&self, keys: SignatureKeys) -> Result<(), CheckFailure> {
        let mut issuers = self.tokens.issuers().iter().enumerate();
        let named = issuers.find(|(_, issuer)| issuer.rules.issuer == self.token.issuer());
        let (position, issuer) = named.ok_or(CheckFailure::Rejected(TokenError::Issuer))?;
        let header = self.token.check_header(&issuer.rules);
        header.map_err(CheckFailure::Rejected)?;
        let verified = match keys {
            SignatureKeys::Offline => return Err(CheckFailure::NotChecked("--offline".to_owned())),
            SignatureKeys::File(set) => {
                let rules = issuer.rules.clone();
                let keys = KeyStore::fixed(rules.issuer.clone(), set);
                Issuer { rules, keys }.verify(&self.token).await
            }
            SignatureKeys::Issuer(refreshers) => {
                fetch(issuer, refreshers.into_iter().nth(position)).await?;
                issuer.verify(&self.token).await
            }
        };
        verified.map(drop).map_err(|why| match why {
            VerifyError::Rejected(reason) => CheckFailure::Rejected(reason),
            VerifyError::NoKeys => {
                let warning = issuer.keys.warning();
                CheckFailure::NotChecked(
                    warning.unwrap_or_else(|| "the issuer's keys are not available".to_owned()),
                )
            }
        })
    }

    /// The explanation for a token whose signature was not checked.
    fn unverified(&self, query: &PolicyQuery<'_>, signature: &str) -> Explanation {
        let mut issuers = self.tokens.issuers().iter();
        let issuer = issuers.find(|issuer| issuer.rules.issuer == self.token.issuer());
        let checked = issuer.map_or(Ok(()), |issuer| self.token.check_unverified(&issuer.rules));
        let mut explanation = match checked {
            Ok(()) => self.explain(query, signature, Verification::Unverified),
            Err(reason) => self.rejected(reason, signature),
        };
        let warning = "warning: the claims are unverified, since the signature was not checked";
        explanation.lines.push(warning.to_owned());
        explanation
    }

    fn claims(&self) -> &Claims {
        self.token.unverified_claims()
    }

    /// The caller of a token that is valid or assumed to be, and the decision for it.
    fn explain(
        &self,
        query: &PolicyQuery<'_>,
        signature: &str,
        verification: Verification,
    ) -> Explanation {
        let proviso = match verification {
            Verification::Verified => "",
            Verification::Unverified => ", if the token is valid",
        };
        let denied = |verdict: &str, todo: &str| {
            let why = [identifying(self.claims()), format!("to do: {todo}")];
            Explanation::denied(verdict, why)
        };
        let (mut explanation, caller) = match self.find_caller() {
            CallerMatch::One(caller) => {
                (query.decide(&caller.name, proviso), caller.name.to_string())
            }
            CallerMatch::None => {
                let todo = "add one of these claims to jwt.claims of the intended caller, and this \
                            issuer to its jwt.issuer";
                (
                    denied("the token matches no caller", todo),
                    "none".to_owned(),
                )
            }
            CallerMatch::Several(names) => {
                let names = listed(&*names);
                let todo =
                    "require a claim in jwt.claims of each caller that only its own tokens have";
                (
                    denied(&format!("the token matches several callers: {names}"), todo),
                    names,
                )
            }
        };
        explanation.lines.extend(self.facts(&caller, signature));
        explanation
    }

    /// The explanation for a token that the gateway rejects.
    fn rejected(&self, reason: TokenError, signature: &str) -> Explanation {
        let issuers = self.tokens.issuers();
        let remedy = rejection::remedy(reason, &self.token, self.claims(), issuers);
        let mut explanation = Explanation::denied(&rejection::verdict(reason), [remedy]);
        let caller = match self.find_caller() {
            CallerMatch::One(caller) => format!("{} (if the token were accepted)", caller.name),
            CallerMatch::None => "none".to_owned(),
            CallerMatch::Several(names) => listed(&*names),
        };
        explanation.lines.extend(self.facts(&caller, signature));
        explanation
    }

    fn find_caller(&self) -> CallerMatch {
        self.tokens.find_caller(self.token.issuer(), self.claims())
    }

    fn facts(&self, caller: &str, signature: &str) -> [String; 4] {
        let subject = self.claims().get("sub").and_then(Value::as_str);
        [
            format!("issuer: {}", shown(self.token.issuer())),
            format!("subject: {}", subject.map_or("-".to_owned(), shown)),
            format!("caller: {caller}"),
            format!("signature: {signature}"),
        ]
    }
}

/// Fetches the issuer's keys once, as the gateway does.
async fn fetch(issuer: &Issuer, refresher: Option<NewKeyRefresher>) -> Result<(), CheckFailure> {
    if let Some(NewKeyRefresher {
        refresher,
        transport,
    }) = refresher
    {
        spawn_local(refresher.run(transport.client()));
    }
    let late = || "the issuer did not answer in time".to_owned();
    let fetched = issuer.keys.first_fetch().await;
    fetched.map(drop).map_err(|failure| {
        CheckFailure::NotChecked(failure.map_or_else(late, |failure| failure.to_string()))
    })
}

/// The claims that can identify a caller, in the syntax of `jwt.claims`.
fn identifying(claims: &Claims) -> String {
    let found = IDENTIFYING_CLAIMS.into_iter().filter_map(|name| {
        Some(match claims.get(name)? {
            Value::String(text) => format!("{name} = {}", quoted(text)),
            // Claims are compared as strings, so this one never matches.
            _ => format!("{name} (not a string)"),
        })
    });
    let found = listed(found);
    match found.is_empty() {
        true => format!("identifying claims: none of {}", listed(IDENTIFYING_CLAIMS)),
        false => format!("identifying claims: {found}"),
    }
}
