//! `POST /offers/{offerId}/cancel`: the table of vendor answers, and what is sent.

use serde_json::json;

use crate::client;
use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, spawn};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_name_the_operation_is_followed_to_the_truth() {
    let world = spawn().await;
    for (offer, located) in [
        ("absolute-1", true),
        ("relative-1", true),
        ("migrated-1", true),
        ("unmigrated-1", true),
        ("in-body-1", true),
        ("nowhere-1", false),
        ("own-operation-1", true),
        ("no-date-1", true),
        ("no-zone-1", true),
    ] {
        let operation = world.outcome_of(offer).await;
        assert_eq!(operation["outcome"], "canceled", "{offer}: {operation}");
        assert_eq!(operation["status"], "Succeeded");
        assert_eq!(operation["portal"]["httpStatus"], 202);
        assert_eq!(
            operation["portal"]["operationLocation"].is_string(),
            located,
            "{offer}"
        );
    }
}
