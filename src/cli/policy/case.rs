//! What is asked, and the answer: the verdict, and the rules that it comes from.

use super::text::{actions, listed, shown};
use crate::domain::{Action, CallerName, OfferId, PublisherId};
use crate::policy::{Fit, Policy};
use crate::settings::{AllowRule, Settings, nearest};

/// What is answered.
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

/// What is asked, except by whom.
pub struct Case<'s> {
    pub settings: &'s Settings,
    pub policy: &'s Policy,
    pub action: Action,
    pub offer: OfferId,
    /// None: the caller's own.
    pub publisher: Option<PublisherId>,
}

impl Case<'_> {
    /// Whether this caller may. `proviso` is what the verdict depends on besides.
    pub fn decide(&self, name: &CallerName, proviso: &str) -> Explanation {
        let Self { action, offer, .. } = self;
        let mut callers = self.settings.callers.iter();
        let Some(caller) = callers.find(|caller| caller.name == *name) else {
            return self.no_such_caller(name);
        };
        let given = self.publisher.as_ref();
        let Some(publisher) = given.or(caller.default_publisher.as_ref()) else {
            let verdict = format!("{name} may not {action} {offer}{proviso}");
            let why = "no publisher: the caller has no default_publisher, and --publisher is \
                       not given";
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
                    format!("by  {}", described(allow)),
                ],
            };
        }
        let unknown = (!explained.publisher_known).then(|| self.no_such_publisher(publisher));
        let none = caller
            .allow
            .is_empty()
            .then(|| "no rules: the caller may do nothing".to_owned());
        let rules = explained.fits.iter().zip(&caller.allow);
        let misfits = rules.filter_map(|(fit, allow)| misfit(*fit, allow));
        let verdict = format!("{name} may not {action} {target}{proviso}");
        Explanation::denied(&verdict, unknown.into_iter().chain(none).chain(misfits))
    }

    fn no_such_caller(&self, name: &CallerName) -> Explanation {
        let known = self.settings.callers.iter();
        let near = nearest(name.as_str(), known.map(|caller| caller.name.as_str()));
        let why = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`offergate policy table` lists the callers".to_owned(),
        };
        Explanation::denied(&format!("there is no caller {name}"), [why])
    }

    fn no_such_publisher(&self, publisher: &PublisherId) -> String {
        let known = listed(self.settings.publishers.iter().map(|known| &known.id));
        format!("publisher {publisher} is none of the [[publishers]]: {known} (case counts)")
    }
}

/// A rule with its place.
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

/// What of a rule does not fit, if anything.
fn misfit(fit: Fit, allow: &AllowRule) -> Option<String> {
    let rule = &allow.rule;
    let parts = [
        (!fit.action).then(|| format!("action is not among {}", actions(rule))),
        (!fit.publisher).then(|| format!("publisher does not match {}", listed(&rule.publishers))),
        (!fit.offer).then(|| format!("offer does not match {}", listed(&rule.offers))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{}: {}", shown(&allow.place), parts.join("; ")))
}
