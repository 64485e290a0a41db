//! A location tells the gateway where to send its token: only the status monitor of the
//! same offer at the configured vendor is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::{World, spawn};

const GUID: &str = "56615b67-2185-49fe-80d2-c4ddf77bb2e8";

/// A host that must not be contacted, with the number of connections to it.
async fn stranger() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, visits)
}

/// Cancels an offer for each location, named in turn in either header, to the end.
/// Every `OFFER` in it is that offer. Returns all paths
/// that were requested from the vendor, without those of the cancels.
async fn requested_paths(world: &World, locations: &[String]) -> Vec<String> {
    let mut started = Vec::new();
    for (number, location) in locations.iter().enumerate() {
        let offer = format!("migrated-{number}");
        let header = ["location", "operationLocation"][number % 2];
        let location = location.replace("OFFER", &offer);
        let fault = json!({"kind": "location", header: location});
        world
            .vendor
            .order(json!({"on": "cancel", "offer": offer, "fault": fault}))
            .await;
        let answer = world.cancel(&offer).await;
        assert_eq!(answer.status, 202, "{location}: {answer:?}");
        started.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    for (id, location) in started.iter().zip(locations) {
        let operation = world.ended(id).await;
        assert_eq!(operation["outcome"], "canceled", "{location}: {operation}");
    }
    let journal = world.vendor.received("/api/").await;
    let paths = journal.iter().map(|entry| entry["path"].as_str().unwrap());
    let paths: Vec<String> = paths
        .filter(|path| !path.ends_with("/cancel"))
        .map(str::to_owned)
        .collect();
    // Without requests the checks below would be empty.
    assert!(paths.len() >= locations.len(), "{paths:?}");
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_in_a_location_is_never_contacted() {
    let world = spawn().await;
    let (host, visits) = stranger().await;
    let paths = requested_paths(
        &world,
        &[
            format!("HTTP://{host}{{operation}}/"),
            format!("http://{host}{{operation}}"),
            format!("http://user:password@{host}{{operation}}"),
            format!("https://{host}{{operation}}?api-version=1"),
        ],
    )
    .await;
    for number in 0..4 {
        let offer = format!("/api/publishers/contoso/offers/migrated-{number}");
        let monitor = format!("{offer}/operations/");
        assert!(
            paths.iter().any(|path| path.starts_with(&monitor)),
            "{paths:?}"
        );
    }
    for path in &paths {
        let (_, tail) = path.split_once("/offers/migrated-").unwrap();
        let call = tail.split('/').nth(1);
        assert!(matches!(call, Some("operations" | "submissions")), "{path}");
    }
    // The other host counts connections.
    assert_eq!(visits.load(Ordering::SeqCst), 0);
    let _knock = TcpStream::connect(&host).await.unwrap();
    while visits.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_locations_are_not_requested() {
    let world = spawn().await;
    let (host, visits) = stranger().await;
    let offers = "/api/publishers/contoso/offers";
    let locations = [
        format!("{offers}/other-vm/operations/{GUID}"),
        format!("/api/publishers/fabrikam/offers/OFFER/operations/{GUID}"),
        format!("{offers}/OFFER/operations/not-a-guid"),
        format!("{offers}/OFFER/operations/{GUID}/../../../x"),
        format!("{offers}/OFFER/operations/{GUID}/more"),
        format!("{offers}/OFFER/submissions/{GUID}"),
        format!("{offers}/OFFER"),
        format!("{offers}/x/../OFFER/operations/{GUID}"),
        format!("{offers}/%2e%2e/operations/{GUID}"),
        format!("{offers}/OFFER%2foperations/operations/{GUID}"),
        format!("/x{offers}/OFFER/operations/{GUID}"),
        "/api/operations/fabrikam$OFFER$2$preview".into(),
        "/api/operations/contoso$other-vm$2$preview".into(),
        "/api/operations/contoso$OFFER$2$preview/x".into(),
        "/api/operations/contoso$OFFER$3$preview".into(),
        "/api/publishers".into(),
        "/".into(),
        "?api-version=2017-10-31".into(),
        format!("//{host}{offers}/OFFER/operations/{GUID}"),
        format!("http://{host}"),
        format!("http://{host}/"),
        format!("http://{host}/token?x={offers}/OFFER/operations/{GUID}"),
        format!("http://{host}#{offers}/OFFER/operations/{GUID}"),
        format!("ftp://{host}{offers}/OFFER/operations/{GUID}"),
        format!("http:{offers}/OFFER/operations/{GUID}"),
        format!("\\\\{host}{offers}/OFFER/operations/{GUID}"),
        "file:///etc/passwd".into(),
        "x".repeat(4000),
    ];
    for path in requested_paths(&world, &locations).await {
        let offer = path.strip_prefix(&format!("{offers}/migrated-")).unwrap();
        assert!(offer.ends_with("/submissions"), "{path}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}
