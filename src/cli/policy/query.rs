//! A question to the policy and its answer: the verdict and the rules that lead to it.

use super::text::{actions, listed, shown};
use crate::domain::{Action, CallerName, OfferId, PublisherId, nearest};
use crate::policy::{Policy, RuleMatch};
use crate::settings::{AllowRule, Settings};

/// The answer.
pub struct Explanation {
    pub allowed: bool,
    /// The verdict first.
    pub lines: Vec<String>,
}

impl Explanation {
    pub fn denied(verdict: &str, why: impl IntoIterator<Item = String>) -> Self {
        let verdict = format!("DENIED  {verdict}");
        Self {
            allowed: false,
            lines: [verdict].into_iter().chain(why).collect(),
        }
    }
}

/// The question, without the caller.
pub struct PolicyQuery<'s> {
    pub settings: &'s Settings,
    pub policy: &'s Policy,
    pub action: Action,
    pub offer: OfferId,
    /// None: the caller's default_publisher.
    pub publisher: Option<PublisherId>,
}

impl PolicyQuery<'_> {
    /// Whether the caller may perform the action. `proviso` is appended to the verdict: a
    /// condition that is not checked here.
    pub fn decide(&self, name: &CallerName, proviso: &str) -> Explanation {
        let Self { action, offer, .. } = self;
        let mut callers = self.settings.callers.iter();
        let Some(caller) = callers.find(|caller| caller.name == *name) else {
            return self.unknown_caller(name);
        };
        let given = self.publisher.as_ref();
        let Some(publisher) = given.or(caller.default_publisher.as_ref()) else {
            let verdict = format!("{name} may not {action} {offer}{proviso}");
            let why = "publisher missing: give --publisher, or configure default_publisher for the \
                       caller";
            return Explanation::denied(&verdict, [why.to_owned()]);
        };
        let explained = self.policy.explain(name, *action, publisher, offer);
        let target = format!("{publisher}/{offer}");
        let by = explained.allowed_by().and_then(|at| caller.allow.get(at));
        if let Some(allow) = by {
            return Explanation {
                allowed: true,
                lines: vec![
                    format!("ALLOWED  {name} may {action} {target}{proviso}"),
                    format!("rule: {}", described(allow)),
                ],
            };
        }
        let unknown = (!explained.publisher_configured).then(|| self.unknown_publisher(publisher));
        let none = caller
            .allow
            .is_empty()
            .then(|| "the caller has no allow rules".to_owned());
        let rules = explained.rules.iter().zip(&caller.allow);
        let mismatches = rules.filter_map(|(matched, allow)| mismatch(*matched, allow));
        let verdict = format!("{name} may not {action} {target}{proviso}");
        Explanation::denied(&verdict, unknown.into_iter().chain(none).chain(mismatches))
    }

    fn unknown_caller(&self, name: &CallerName) -> Explanation {
        let known = self.settings.callers.iter();
        let near = nearest(name.as_str(), known.map(|caller| caller.name.as_str()));
        let why = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`offergate policy table` lists the callers".to_owned(),
        };
        Explanation::denied(&format!("caller {name} is not configured"), [why])
    }

    fn unknown_publisher(&self, publisher: &PublisherId) -> String {
        let known = listed(self.settings.publishers.iter().map(|known| &known.id));
        format!("publisher {publisher} is not one of [[publishers]]: {known} (case-sensitive)")
    }
}

/// A rule and where it is configured.
fn described(allow: &AllowRule) -> String {
    let rule = &allow.rule;
    format!(
        "{}  (actions {}; publishers {}; offers {})",
        shown(&allow.place),
        actions(rule),
        listed(&rule.publishers),
        listed(&rule.offers)
    )
}

/// The parts of the rule that do not match; none if all do.
fn mismatch(matched: RuleMatch, allow: &AllowRule) -> Option<String> {
    let rule = &allow.rule;
    let parts = [
        (!matched.action).then(|| format!("the action is not one of {}", actions(rule))),
        (!matched.publisher)
            .then(|| format!("the publisher does not match {}", listed(&rule.publishers))),
        (!matched.offer).then(|| format!("the offer does not match {}", listed(&rule.offers))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{}: {}", shown(&allow.place), parts.join("; ")))
}
