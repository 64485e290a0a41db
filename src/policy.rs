//! Who may do what to which offer: pure, and deny by default.
//!
//! The answer is a value. Whatever acts later takes a [`Permit`], and only this
//! module makes one, so an action without a decision does not compile.

use std::collections::HashMap;

use crate::domain::{Action, Caller, CallerName, OfferId, PublisherId, Rule};

/// The rules of every caller.
#[derive(Debug, Default)]
pub struct Policy {
    rules: HashMap<CallerName, Vec<Rule>>,
}

/// Proof that this caller may do this to this offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    caller: CallerName,
    action: Action,
    publisher: PublisherId,
    offer: OfferId,
}

/// No rule allows it. Says no more: which offers exist is not the caller's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no rule allows this")]
pub struct Denied;

impl Policy {
    /// The policy made of each caller's rules.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = (CallerName, Vec<Rule>)>) -> Self {
        Self {
            rules: rules.into_iter().collect(),
        }
    }

    /// Decides.
    ///
    /// # Errors
    /// [`Denied`] unless one of the caller's rules names the action, the publisher
    /// and the offer.
    pub fn permit(
        &self,
        caller: &Caller,
        action: Action,
        publisher: &PublisherId,
        offer: &OfferId,
    ) -> Result<Permit, Denied> {
        let rules = self.rules.get(&caller.name).map_or(&[][..], Vec::as_slice);
        let allows = |rule: &Rule| {
            rule.actions.contains(&action)
                && rule
                    .publishers
                    .iter()
                    .any(|p| p.matches(publisher.as_str()))
                && rule.offers.iter().any(|o| o.matches(offer.as_str()))
        };
        if !rules.iter().any(allows) {
            return Err(Denied);
        }
        Ok(Permit {
            caller: caller.name.clone(),
            action,
            publisher: publisher.clone(),
            offer: offer.clone(),
        })
    }
}

impl Permit {
    /// Who may.
    #[must_use]
    pub fn caller(&self) -> &CallerName {
        &self.caller
    }

    /// What they may do.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whose offer.
    #[must_use]
    pub fn publisher(&self) -> &PublisherId {
        &self.publisher
    }

    /// Which offer.
    #[must_use]
    pub fn offer(&self) -> &OfferId {
        &self.offer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Glob;

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
        let publisher = PublisherId::parse(publisher).unwrap();
        let offer = OfferId::parse(offer).unwrap();
        policy
            .permit(&caller(who), action, &publisher, &offer)
            .is_ok()
    }

    #[test]
    fn one_rule_must_allow_all_three() {
        let policy = Policy::new([(
            caller("pipeline").name,
            vec![
                rule(&[Action::Cancel], &["contoso"], &["contoso-*"]),
                rule(&[Action::Read], &["*"], &["*"]),
            ],
        )]);
        let table = [
            ("pipeline", Action::Cancel, "contoso", "contoso-vm", true),
            ("pipeline", Action::Cancel, "contoso", "other", false),
            ("pipeline", Action::Cancel, "fabrikam", "contoso-vm", false),
            ("pipeline", Action::Cancel, "Contoso", "contoso-vm", false),
            ("pipeline", Action::Publish, "contoso", "contoso-vm", false),
            ("pipeline", Action::Read, "fabrikam", "anything", true),
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
    fn nobody_may_do_anything_by_default() {
        for action in Action::ALL {
            assert!(!allowed(
                &Policy::default(),
                "pipeline",
                action,
                "contoso",
                "vm"
            ));
        }
    }
}
