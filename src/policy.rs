//! Who may do what to which offer: pure, and deny by default.
//!
//! The answer is a value. Whatever acts later takes a [`Permit`], and only this
//! module makes one, so an action without a decision does not compile.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use crate::domain::{Action, Caller, CallerName, Glob, OfferId, PublisherId, Rule, Target};

/// The rules of every caller, and the publishers that can be acted for at all.
#[derive(Debug, Default)]
pub struct Policy {
    rules: HashMap<CallerName, Vec<Rule>>,
    publishers: HashSet<PublisherId>,
}

/// An action as a type, so that a permit for one cannot be used for another.
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

/// Proof that this caller may do this to this offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Permit<R> {
    caller: CallerName,
    target: Target,
    right: PhantomData<R>,
}

/// No rule allows it. Says no more: which offers exist is not the caller's business.
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

    /// Decides.
    ///
    /// # Errors
    /// [`Denied`] unless one of the caller's rules names the action, the publisher
    /// and the offer, and the publisher is one that the gateway acts for: a `*`
    /// means every one of those.
    pub fn permit<R: Right>(
        &self,
        caller: &Caller,
        publisher: &PublisherId,
        offer: &OfferId,
    ) -> Result<Permit<R>, Denied> {
        let rules = self.rules_of(&caller.name);
        // As `Fit` does, but no further than it must.
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
    /// How the decision about this comes to be. Decides nothing: only
    /// [`Self::permit`] does, and tests hold the two against each other.
    #[must_use]
    pub fn explain(
        &self,
        caller: &CallerName,
        action: Action,
        publisher: &PublisherId,
        offer: &OfferId,
    ) -> Explained {
        let rules = self.rules_of(caller).iter();
        Explained {
            publisher_known: self.publishers.contains(publisher),
            fits: rules
                .map(|rule| Fit::of(rule, action, publisher, offer))
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

/// How far one rule fits what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// It names the action.
    pub action: bool,
    /// One of its publishers matches.
    pub publisher: bool,
    /// One of its offers matches.
    pub offer: bool,
}

impl Fit {
    fn of(rule: &Rule, action: Action, publisher: &PublisherId, offer: &OfferId) -> Self {
        Self {
            action: rule.actions.contains(&action),
            publisher: any(&rule.publishers, publisher.as_str()),
            offer: any(&rule.offers, offer.as_str()),
        }
    }

    /// Whether it allows what is asked.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.action && self.publisher && self.offer
    }
}

/// How a decision comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Whether the publisher can be acted for at all.
    pub publisher_known: bool,
    /// How far each of the caller's rules fits, in their order.
    pub fits: Vec<Fit>,
}

impl Explained {
    /// The rule that allows it: the first that fits.
    #[must_use]
    pub fn allowed_by(&self) -> Option<usize> {
        let first = self.fits.iter().position(|fit| fit.is_whole());
        first.filter(|_| self.publisher_known)
    }
}

impl<R: Right> Permit<R> {
    /// Who may.
    #[must_use]
    pub fn caller(&self) -> &CallerName {
        &self.caller
    }

    /// What they may do.
    #[must_use]
    pub fn action(&self) -> Action {
        R::ACTION
    }

    /// To which offer. What is sent to the vendor is built from this alone.
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
        enum Read {}
        impl Right for Read {
            const ACTION: Action = Action::Read;
        }
        let publisher = PublisherId::parse(publisher).unwrap();
        let offer = OfferId::parse(offer).unwrap();
        let caller = caller(who);
        let allowed = match action {
            Action::Cancel => policy.permit::<Cancel>(&caller, &publisher, &offer).is_ok(),
            Action::Read => policy.permit::<Read>(&caller, &publisher, &offer).is_ok(),
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
    fn one_rule_must_allow_all_three() {
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
    fn an_explanation_tells_what_is_missing() {
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
        let fit = |action, publisher, offer| Fit {
            action,
            publisher,
            offer,
        };
        let fits = explain("fabrikam", "a-1").fits;
        let expected = [
            fit(false, true, true),
            fit(true, false, true),
            fit(true, true, false),
        ];
        assert_eq!(fits, expected);
        assert_eq!(explain("contoso", "a-1").allowed_by(), Some(1));
        let unknown = explain("unconfigured", "b");
        assert_eq!(
            (unknown.publisher_known, unknown.allowed_by()),
            (false, None)
        );
    }

    #[test]
    fn nobody_may_do_anything_by_default() {
        let policy = Policy::new([], publishers());
        for action in [Action::Cancel, Action::Read] {
            assert!(!allowed(&policy, "pipeline", action, "contoso", "vm"));
        }
    }
}
