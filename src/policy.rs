//! Authorization: a pure function of the rules that denies by default.
//!
//! A decision is a value. Code that acts takes a [`Permit`], which only this module makes,
//! so an action without a decision does not compile. The [`Target`] in it is what the
//! vendor's paths are built from.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use crate::domain::{Action, Caller, CallerName, Glob, OfferId, PublisherId, Rule, Target};

/// The rules of every caller, and the publishers that the gateway acts for.
#[derive(Debug, Default)]
pub struct Policy {
    rules: HashMap<CallerName, Vec<Rule>>,
    publishers: HashSet<PublisherId>,
}

/// An action as a type: a permit for one cannot be used for another.
pub trait Right {
    /// The action.
    const ACTION: Action;
}

/// The right to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {}

impl Right for Cancel {
    const ACTION: Action = Action::Cancel;
}

/// The permission of one caller to do one thing to one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Permit<R> {
    caller: CallerName,
    target: Target,
    right: PhantomData<R>,
}

/// No rule allows the action. The reason is withheld from callers, since it would reveal which
/// offers exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no rule allows this")]
pub struct Denied;

impl Policy {
    /// The policy made of each caller's rules, over these publishers.
    #[must_use]
    pub fn new(
        rules: impl IntoIterator<Item = (CallerName, Vec<Rule>)>,
        publishers: impl IntoIterator<Item = PublisherId>,
    ) -> Self {
        Self {
            rules: rules.into_iter().collect(),
            publishers: publishers.into_iter().collect(),
        }
    }

    /// Decides whether the caller may act on the offer.
    ///
    /// # Errors
    /// [`Denied`] unless one of the caller's rules names the action, the publisher and the
    /// offer, and the gateway acts for the publisher; `*` means each of those.
    pub fn permit<R: Right>(
        &self,
        caller: &Caller,
        publisher: &PublisherId,
        offer: &OfferId,
    ) -> Result<Permit<R>, Denied> {
        let rules = self.rules_of(&caller.name);
        // Like `RuleMatch`, but stops at the first mismatch.
        let allows = |rule: &Rule| {
            rule.actions.contains(&R::ACTION)
                && any(&rule.publishers, publisher.as_str())
                && any(&rule.offers, offer.as_str())
        };
        if !self.publishers.contains(publisher) || !rules.iter().any(allows) {
            return Err(Denied);
        }
        Ok(Permit {
            caller: caller.name.clone(),
            target: Target::permitted(publisher.clone(), offer.clone()),
            right: PhantomData,
        })
    }
}

impl Policy {
    /// Why [`Self::permit`] decides as it does. Tests compare the two.
    #[must_use]
    pub fn explain(
        &self,
        caller: &CallerName,
        action: Action,
        publisher: &PublisherId,
        offer: &OfferId,
    ) -> DecisionTrace {
        let rules = self.rules_of(caller).iter();
        DecisionTrace {
            publisher_configured: self.publishers.contains(publisher),
            rules: rules
                .map(|rule| RuleMatch::of(rule, action, publisher, offer))
                .collect(),
        }
    }

    fn rules_of(&self, caller: &CallerName) -> &[Rule] {
        self.rules.get(caller).map_or(&[], Vec::as_slice)
    }
}

fn any(globs: &[Glob], id: &str) -> bool {
    globs.iter().any(|glob| glob.matches(id))
}

/// Which parts of a request one rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleMatch {
    /// The action.
    pub action: bool,
    /// The publisher.
    pub publisher: bool,
    /// The offer.
    pub offer: bool,
}

impl RuleMatch {
    fn of(rule: &Rule, action: Action, publisher: &PublisherId, offer: &OfferId) -> Self {
        Self {
            action: rule.actions.contains(&action),
            publisher: any(&rule.publishers, publisher.as_str()),
            offer: any(&rule.offers, offer.as_str()),
        }
    }

    /// Whether the rule allows the request.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.action && self.publisher && self.offer
    }
}

/// The reasons for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionTrace {
    /// Whether the gateway acts for the publisher.
    pub publisher_configured: bool,
    /// Which parts of the request each of the caller's rules matches, in their order.
    pub rules: Vec<RuleMatch>,
}

impl DecisionTrace {
    /// The position of the first rule that allows the request.
    #[must_use]
    pub fn allowed_by(&self) -> Option<usize> {
        let first = self.rules.iter().position(|matched| matched.is_complete());
        first.filter(|_| self.publisher_configured)
    }
}

impl<R: Right> Permit<R> {
    /// The caller.
    #[must_use]
    pub fn caller(&self) -> &CallerName {
        &self.caller
    }

    /// The action.
    #[must_use]
    pub fn action(&self) -> Action {
        R::ACTION
    }

    /// The publisher and the offer: the only source of the vendor's path.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller {
            name: CallerName::parse(name).unwrap(),
            default_publisher: None,
        }
    }

    fn rule(actions: &[Action], publishers: &[&str], offers: &[&str]) -> Rule {
        let globs = |texts: &[&str]| texts.iter().map(|t| Glob::parse(t).unwrap()).collect();
        Rule {
            actions: actions.to_vec(),
            publishers: globs(publishers),
            offers: globs(offers),
        }
    }

    fn allowed(policy: &Policy, who: &str, action: Action, publisher: &str, offer: &str) -> bool {
        enum ReadRight {}
        impl Right for ReadRight {
            const ACTION: Action = Action::Read;
        }
        let publisher = PublisherId::parse(publisher).unwrap();
        let offer = OfferId::parse(offer).unwrap();
        let caller = caller(who);
        let allowed = match action {
            Action::Cancel => policy.permit::<Cancel>(&caller, &publisher, &offer).is_ok(),
            Action::Read => policy
                .permit::<ReadRight>(&caller, &publisher, &offer)
                .is_ok(),
            other => panic!("no right for {other}"),
        };
        let explained = policy.explain(&caller.name, action, &publisher, &offer);
        assert_eq!(explained.allowed_by().is_some(), allowed, "{explained:?}");
        allowed
    }

    fn publishers() -> Vec<PublisherId> {
        let parse = |text| PublisherId::parse(text).unwrap();
        ["contoso", "fabrikam"].map(parse).to_vec()
    }

    #[test]
    fn one_rule_must_match_action_publisher_and_offer() {
        let rules = vec![
            rule(&[Action::Cancel], &["contoso"], &["contoso-*"]),
            rule(&[Action::Read], &["*"], &["*"]),
        ];
        let policy = Policy::new([(caller("pipeline").name, rules)], publishers());
        let table = [
            ("pipeline", Action::Cancel, "contoso", "contoso-vm", true),
            ("pipeline", Action::Cancel, "contoso", "other", false),
            ("pipeline", Action::Cancel, "fabrikam", "contoso-vm", false),
            ("pipeline", Action::Cancel, "Contoso", "contoso-vm", false),
            ("pipeline", Action::Read, "fabrikam", "anything", true),
            ("pipeline", Action::Read, "unconfigured", "anything", false),
            ("stranger", Action::Read, "contoso", "contoso-vm", false),
        ];
        for (who, action, publisher, offer, expected) in table {
            assert_eq!(
                allowed(&policy, who, action, publisher, offer),
                expected,
                "{who} {action} {publisher}/{offer}"
            );
        }
    }

    #[test]
    fn an_explanation_shows_what_is_missing() {
        let rules = vec![
            rule(&[Action::Read], &["*"], &["*"]),
            rule(&[Action::Cancel], &["contoso"], &["a-*"]),
            rule(&[Action::Cancel], &["*"], &["b"]),
        ];
        let policy = Policy::new([(caller("pipeline").name, rules)], publishers());
        let explain = |publisher: &str, offer: &str| {
            policy.explain(
                &caller("pipeline").name,
                Action::Cancel,
                &PublisherId::parse(publisher).unwrap(),
                &OfferId::parse(offer).unwrap(),
            )
        };
        let matched = |action, publisher, offer| RuleMatch {
            action,
            publisher,
            offer,
        };
        let rules = explain("fabrikam", "a-1").rules;
        let expected = [
            matched(false, true, true),
            matched(true, false, true),
            matched(true, true, false),
        ];
        assert_eq!(rules, expected);
        assert_eq!(explain("contoso", "a-1").allowed_by(), Some(1));
        let unknown = explain("unconfigured", "b");
        assert_eq!(
            (unknown.publisher_configured, unknown.allowed_by()),
            (false, None)
        );
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let policy = Policy::new([], publishers());
        for action in [Action::Cancel, Action::Read] {
            assert!(!allowed(&policy, "pipeline", action, "contoso", "vm"));
        }
    }
}
