//! Publishers, offers and their definitions: the lists, the versions, the slots, and PUT with
//! its ETag rules.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document;
use super::error::PortalError;
use crate::offer::{
    Access, Definition, Key, Offer, OfferError, Offers, PUBLISHERS, Slot, is_known_publisher,
};
use crate::wire::{Request, Response};

pub(super) fn publishers() -> Response {
    let list: Value = PUBLISHERS
        .iter()
        .enumerate()
        .map(|(index, id)| {
            json!({
                "id": id,
                "version": 1,
                "definition": {
                    "displayText": format!("{}{}", id[..1].to_uppercase(), &id[1..]),
                    "offerTypeCategories": ["Azure"],
                    "sellerId": 54_310_001 + index,
                },
            })
        })
        .collect();
    Response::json(200, &list)
}

pub(super) fn offers(
    offers: &mut Offers,
    publisher: &str,
    request: &Request,
    now: Timestamp,
) -> Result<Response, PortalError> {
    if !is_known_publisher(publisher) {
        return Err(PortalError::Forbidden);
    }
    let summaries = offers
        .listed(publisher, now)
        .into_iter()
        .map(|offer| document::summary(offer, offer.definition.current()));
    let list: Value = match request.query_value("$filter") {
        None => summaries.collect(),
        Some(text) => {
            let (member, wanted) = parse_filter(&text).ok_or_else(|| {
                PortalError::BadRequest(format!(
                    "The query specified in the URI is not valid. The filter '{text}' is not \
                     NAME eq 'TEXT' with one of: {}.",
                    FILTERABLE.join(", ")
                ))
            })?;
            summaries.filter(|one| one[member] == wanted).collect()
        }
    };
    Ok(Response::json(200, &list))
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

pub(super) fn read(offer: &Offer) -> Response {
    let current = offer.definition.current();
    tagged(
        offer,
        Response::json(200, &document::definition(offer, current)),
    )
}

pub(super) fn version(offer: &Offer, number: &str) -> Result<Response, PortalError> {
    let edition = number
        .parse()
        .ok()
        .and_then(|number| offer.definition.edition(number))
        .ok_or_else(|| PortalError::NotFound(format!("Version '{number}' was not found.")))?;
    Ok(Response::json(200, &document::definition(offer, edition)))
}

pub(super) fn slot(offer: &Offer, name: &str) -> Result<Response, PortalError> {
    let missing = || PortalError::NotFound(format!("The offer was not found in slot '{name}'."));
    let slot = Slot::of_segment(name).ok_or_else(missing)?;
    let edition = offer.published(slot).ok_or_else(missing)?;
    let response = Response::json(200, &document::definition(offer, edition));
    // Only the draft can be written, so only the draft has an ETag.
    Ok(match slot {
        Slot::Draft => tagged(offer, response),
        Slot::Staging | Slot::Production => response,
    })
}

/// PUT: replaces the definition of an offer, or creates the offer.
pub(super) fn write(
    offers: &mut Offers,
    key: &Key,
    request: &Request,
    now: Timestamp,
) -> Result<Response, PortalError> {
    let (offer_type, body) = parse(key, request)?;
    let if_match = request.header("if-match");
    let offer = match offers.visible(key, now) {
        Ok(offer) => offer,
        Err(OfferError::Forbidden) => return Err(PortalError::Forbidden),
        Err(OfferError::NotFound) if if_match.is_some() => return Err(PortalError::Stale),
        Err(OfferError::NotFound) => {
            let mut behaviour = offers.default_behaviour().clone();
            behaviour.access = Access::Granted;
            let definition = Definition::new(&offer_type, body, now);
            let offer = Offer::new(key.clone(), behaviour, Vec::new(), definition);
            let document = document::definition(&offer, offer.definition.current());
            let response = tagged(&offer, Response::json(201, &document));
            offers.put(offer);
            return Ok(response);
        }
    };
    match if_match {
        None => return Err(PortalError::Exists),
        Some(tag) if !offer.definition.matches(tag) => return Err(PortalError::Stale),
        Some(_) => offer.definition.replace(&offer_type, body, now),
    }
    Ok(read(offer))
}

/// The offer type and the definition in a PUT's body.
fn parse(key: &Key, request: &Request) -> Result<(String, Value), PortalError> {
    let null = |name: &str| {
        PortalError::BadRequest(format!("The argument: '{name}' cannot be null or empty."))
    };
    let body = request.json().ok().filter(Value::is_object);
    let malformed = || PortalError::BadRequest("The request body is malformed.".into());
    let mut body = body.ok_or_else(malformed)?;
    for (name, expected) in [("id", &key.offer), ("publisherId", &key.publisher)] {
        match body[name].as_str() {
            Some(given) if !given.eq_ignore_ascii_case(expected) => {
                let text = format!("The argument: '{name}' does not match the request URI.");
                return Err(PortalError::BadRequest(text));
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

fn tagged(offer: &Offer, response: Response) -> Response {
    if offer.behaviour.etag {
        response.with("ETag", offer.definition.current().etag())
    } else {
        response
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
