//! Publishers, offers, and what an offer says about itself: the lists, the editions, the
//! slots, and PUT with its ETag rules.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document;
use super::error::Fault;
use crate::offer::{Absent, Access, Definition, Key, Offer, Offers, PUBLISHERS, Slot, is_ours};
use crate::wire::{Answer, Request};

pub(super) fn publishers() -> Answer {
    let list: Value = PUBLISHERS
        .iter()
        .enumerate()
        .map(|(place, id)| {
            json!({
                "id": id,
                "version": 1,
                "definition": {
                    "displayText": format!("{}{}", id[..1].to_uppercase(), &id[1..]),
                    "offerTypeCategories": ["Azure"],
                    "sellerId": 54_310_001 + place,
                },
            })
        })
        .collect();
    Answer::json(200, &list)
}

pub(super) fn offers(
    offers: &mut Offers,
    publisher: &str,
    request: &Request,
    now: Timestamp,
) -> Result<Answer, Fault> {
    if !is_ours(publisher) {
        return Err(Fault::Forbidden);
    }
    let summaries = offers
        .listed(publisher, now)
        .into_iter()
        .map(|offer| document::summary(offer, offer.definition.current()));
    let list: Value = match request.query_value("$filter") {
        None => summaries.collect(),
        Some(text) => {
            let (member, wanted) = parse_filter(&text).ok_or_else(|| {
                Fault::BadRequest(format!(
                    "The query specified in the URI is not valid. The filter '{text}' is not \
                     NAME eq 'TEXT' with one of: {}.",
                    FILTERABLE.join(", ")
                ))
            })?;
            summaries.filter(|one| one[member] == wanted).collect()
        }
    };
    Ok(Answer::json(200, &list))
}

/// Members of a listed offer that hold text.
const FILTERABLE: [&str; 7] = [
    "id",
    "offerTypeId",
    "publisherId",
    "status",
    "pcMigrationStatus",
    "lockStatus",
    "changedTime",
];

/// The member and the text of `name eq 'text'`, in which two quotes stand for one: the only
/// filter that clients were seen to send.
fn parse_filter(filter: &str) -> Option<(&'static str, String)> {
    let (name, text) = filter.split_once(" eq ")?;
    let member = FILTERABLE.into_iter().find(|member| *member == name)?;
    let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let quotes_are_doubled = !text.replace("''", "").contains('\'');
    quotes_are_doubled.then(|| (member, text.replace("''", "'")))
}

pub(super) fn read(offer: &Offer) -> Answer {
    let current = offer.definition.current();
    tagged(
        offer,
        Answer::json(200, &document::definition(offer, current)),
    )
}

pub(super) fn version(offer: &Offer, number: &str) -> Result<Answer, Fault> {
    let edition = number
        .parse()
        .ok()
        .and_then(|number| offer.definition.edition(number))
        .ok_or_else(|| Fault::Missing(format!("Version '{number}' was not found.")))?;
    Ok(Answer::json(200, &document::definition(offer, edition)))
}

pub(super) fn slot(offer: &Offer, name: &str) -> Result<Answer, Fault> {
    let missing = || Fault::Missing(format!("The offer was not found in slot '{name}'."));
    let slot = Slot::of_segment(name).ok_or_else(missing)?;
    let edition = offer.published(slot).ok_or_else(missing)?;
    let answer = Answer::json(200, &document::definition(offer, edition));
    // Only the draft can be written, so only the draft has a tag.
    Ok(match slot {
        Slot::Draft => tagged(offer, answer),
        Slot::Staging | Slot::Production => answer,
    })
}

/// PUT: replaces the definition of an offer, or makes a new offer.
pub(super) fn write(
    offers: &mut Offers,
    key: &Key,
    request: &Request,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let (offer_type, body) = parse(key, request)?;
    let if_match = request.header("if-match");
    let offer = match offers.visible(key, now) {
        Ok(offer) => offer,
        Err(Absent::Forbidden) => return Err(Fault::Forbidden),
        Err(Absent::Missing) if if_match.is_some() => return Err(Fault::Stale),
        Err(Absent::Missing) => {
            let mut behaviour = offers.plain().clone();
            behaviour.access = Access::Granted;
            let offer = Offer {
                key: key.clone(),
                behaviour,
                submissions: Vec::new(),
                cancels: VecDeque::new(),
                cancels_forgotten: 0,
                definition: Definition::new(&offer_type, body, now),
            };
            let document = document::definition(&offer, offer.definition.current());
            let answer = tagged(&offer, Answer::json(201, &document));
            offers.put(offer);
            return Ok(answer);
        }
    };
    match if_match {
        None => return Err(Fault::Exists),
        Some(tag) if !offer.definition.matches(tag) => return Err(Fault::Stale),
        Some(_) => offer.definition.replace(&offer_type, body, now),
    }
    Ok(read(offer))
}

/// The offer type and the definition in a PUT's body.
fn parse(key: &Key, request: &Request) -> Result<(String, Value), Fault> {
    let null =
        |name: &str| Fault::BadRequest(format!("The argument: '{name}' cannot be null or empty."));
    let mut body: Value = request
        .json()
        .map_err(|_| Fault::BadRequest("The request body is malformed.".into()))?;
    if !body.is_object() {
        return Err(Fault::BadRequest("The request body is malformed.".into()));
    }
    for (name, expected) in [("id", &key.offer), ("publisherId", &key.publisher)] {
        match body[name].as_str() {
            Some(given) if !given.eq_ignore_ascii_case(expected) => {
                let text = format!("The argument: '{name}' does not match the request URI.");
                return Err(Fault::BadRequest(text));
            }
            _ => {}
        }
    }
    let offer_type = match body["offerTypeId"].as_str() {
        Some(kind) if !kind.is_empty() => kind.to_owned(),
        _ => return Err(null("OfferTypeId")),
    };
    match body["definition"].take() {
        definition if definition.is_object() => Ok((offer_type, definition)),
        _ => Err(null("Definition")),
    }
}

fn tagged(offer: &Offer, answer: Answer) -> Answer {
    if offer.behaviour.etag {
        answer.with("ETag", offer.definition.current().etag())
    } else {
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_comparison_with_text() {
        let parsed = parse_filter("status eq 'it''s ''so'''");
        assert_eq!(parsed, Some(("status", "it's 'so'".to_owned())));
        assert_eq!(parse_filter("id eq ''"), Some(("id", String::new())));
        for text in [
            "",
            "id",
            "id eq",
            "id eq '",
            "id eq 'a",
            "id eq a'",
            "id eq 'a'b'",
            "id eq 'a' or id eq 'b'",
            "id ne 'a'",
            "ID eq 'a'",
            "version eq 1",
            "version eq '1'",
            "definition eq 'a'",
        ] {
            assert_eq!(parse_filter(text), None, "{text}");
        }
    }
}
