//! The same for whoever sends a token: is it good, whose is it, and may they?

use serde_json::Value;
use tokio::task::spawn_local;

use super::case::{Case, Explanation};
use super::refusal;
use super::text::{listed, quoted, shown};
use crate::domain::IDENTIFYING_CLAIMS;
use crate::identity::{
    CallerMatch, Claims, Issuer, KeySet, KeyStore, TokenError, Tokens, UnverifiedToken, VerifyError,
};
use crate::startup::access::NewKeyRefresher;

/// Where the keys come from that a signature is checked with.
pub enum KeysFrom {
    /// From a file.
    File(KeySet),
    /// From the issuer: the refreshers of all issuers, in their order.
    Issuer(Vec<NewKeyRefresher>),
    /// There shall be none.
    Nowhere,
}

/// Why a token proves nothing.
enum Doubt {
    /// The gateway refuses it.
    Refused(TokenError),
    /// Its signature cannot be looked at.
    Unchecked(String),
}

/// A token, and what it says of itself.
struct Read<'a> {
    tokens: &'a Tokens,
    token: UnverifiedToken<'a>,
}

/// Whether whoever sends this token may do what is asked.
pub async fn explain(case: &Case<'_>, tokens: &Tokens, text: &str, keys: KeysFrom) -> Explanation {
    let read = match UnverifiedToken::read(text) {
        Ok(token) => Read { tokens, token },
        Err(reason) => {
            let signature = format!("signature: {}", refusal::signature(reason));
            let remedy = refusal::remedy_unread(reason).to_owned();
            return Explanation::denied(&refusal::verdict(reason), [remedy, signature]);
        }
    };
    match read.prove(keys).await {
        Ok(()) => read.explain(case, "good", Standing::Proven),
        Err(Doubt::Refused(reason)) => read.refused(reason, refusal::signature(reason)),
        Err(Doubt::Unchecked(why)) => read.unproven(case, &format!("not checked: {why}")),
    }
}

/// What a token's claims are worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Proven,
    Unproven,
}

impl Read<'_> {
    /// Checks the token as the gateway does.
    async fn prove(&self, keys: KeysFrom) -> Result<(), Doubt> {
        let mut issuers = self.tokens.issuers().iter().enumerate();
        let named = issuers.find(|(_, issuer)| issuer.rules.issuer == self.token.issuer());
        let (position, issuer) = named.ok_or(Doubt::Refused(TokenError::Issuer))?;
        let header = self.token.check_header(&issuer.rules);
        header.map_err(Doubt::Refused)?;
        let proven = match keys {
            KeysFrom::Nowhere => return Err(Doubt::Unchecked("--offline".to_owned())),
            KeysFrom::File(set) => {
                let rules = issuer.rules.clone();
                let keys = KeyStore::fixed(rules.issuer.clone(), set);
                Issuer { rules, keys }.verify(&self.token).await
            }
            KeysFrom::Issuer(refreshers) => {
                fetch(issuer, refreshers.into_iter().nth(position)).await?;
                issuer.verify(&self.token).await
            }
        };
        proven.map(drop).map_err(|why| match why {
            VerifyError::Rejected(reason) => Doubt::Refused(reason),
            VerifyError::NoKeys => {
                let warning = issuer.keys.warning();
                Doubt::Unchecked(warning.unwrap_or_else(|| "there are no keys".to_owned()))
            }
        })
    }

    /// What can be told of a token that nothing proves.
    fn unproven(&self, case: &Case<'_>, signature: &str) -> Explanation {
        let mut issuers = self.tokens.issuers().iter();
        let issuer = issuers.find(|issuer| issuer.rules.issuer == self.token.issuer());
        let checked = issuer.map_or(Ok(()), |issuer| self.token.check_unverified(&issuer.rules));
        let mut explanation = match checked {
            Ok(()) => self.explain(case, signature, Standing::Unproven),
            Err(reason) => self.refused(reason, signature),
        };
        let warning = "nothing is proven: this is what the token says of itself, and anybody can \
                       write one";
        explanation.lines.push(warning.to_owned());
        explanation
    }

    fn claims(&self) -> &Claims {
        self.token.unverified_claims()
    }

    /// Whose the token is, and what they may.
    fn explain(&self, case: &Case<'_>, signature: &str, standing: Standing) -> Explanation {
        let (is, proviso) = match standing {
            Standing::Proven => ("the token is good, but", ""),
            Standing::Unproven => ("the token, even if it is good,", ", if the token is good"),
        };
        let denied = |whose: &str, todo: &str| {
            let why = [identifying(self.claims()), format!("to do: {todo}")];
            Explanation::denied(&format!("{is} {whose}"), why)
        };
        let (mut explanation, caller) = match self.find_caller() {
            CallerMatch::One(caller) => {
                (case.decide(&caller.name, proviso), caller.name.to_string())
            }
            CallerMatch::None => {
                let todo = "put one of these into jwt.claims of the caller that is meant, and \
                            this issuer into jwt.issuer";
                (denied("is no caller's", todo), "none".to_owned())
            }
            CallerMatch::Several(names) => {
                let names = listed(&*names);
                let todo = "let jwt.claims of each ask for something that only its own tokens say";
                (
                    denied(&format!("is several callers': {names}"), todo),
                    names,
                )
            }
        };
        explanation.lines.extend(self.facts(&caller, signature));
        explanation
    }

    /// A token that the gateway does not accept.
    fn refused(&self, reason: TokenError, signature: &str) -> Explanation {
        let issuers = self.tokens.issuers();
        let remedy = refusal::remedy(reason, &self.token, self.claims(), issuers);
        let mut explanation = Explanation::denied(&refusal::verdict(reason), [remedy]);
        let caller = match self.find_caller() {
            CallerMatch::One(caller) => format!("{}, if it were accepted", caller.name),
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

/// Fetches the issuer's keys as the gateway does, but once.
async fn fetch(issuer: &Issuer, refresher: Option<NewKeyRefresher>) -> Result<(), Doubt> {
    if let Some(NewKeyRefresher {
        refresher,
        transport,
    }) = refresher
    {
        spawn_local(refresher.run(transport.client()));
    }
    let late = || "the issuer has not answered in time".to_owned();
    let fetched = issuer.keys.first_fetch().await;
    fetched.map(drop).map_err(|failure| {
        Doubt::Unchecked(failure.map_or_else(late, |failure| failure.to_string()))
    })
}

/// What callers are told apart by, as it would stand in a caller's `jwt.claims`.
fn identifying(claims: &Claims) -> String {
    let found = IDENTIFYING_CLAIMS.into_iter().filter_map(|name| {
        Some(match claims.get(name)? {
            Value::String(text) => format!("{name} = {}", quoted(text)),
            // It is compared with texts only, so it is nobody's.
            _ => format!("{name}, which is no text"),
        })
    });
    let found = listed(found);
    match found.is_empty() {
        true => format!("it has none of the claims {}", listed(IDENTIFYING_CLAIMS)),
        false => format!("its identifying claims: {found}"),
    }
}
