//! Every operation that can be written is read back unchanged.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    Action, Evidence, Idempotency, Outcome, PortalFacts, RequestId, Status, Target,
};

fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000_i64).prop_map(|time| Timestamp::from_microsecond(time).unwrap())
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(".{0,40}")
}

prop_compose! {
    fn evidence()(
        vendor_date in proptest::option::of(time()),
        took_ms in any::<u64>(),
        pinned in any::<Option<u128>>(),
    ) -> Evidence {
        Evidence { vendor_date, took_ms, pinned: pinned.map(Uuid::from_u128), ..Evidence::default() }
    }
}

prop_compose! {
    fn portal()(
        http_status in any::<Option<u16>>(),
        status in text(),
        location in text(),
        correlation_id in text(),
        delivered in prop::sample::select(vec![Delivered::No, Delivered::Yes, Delivered::Unknown]),
    ) -> PortalFacts {
        PortalFacts { http_status, status, location, correlation_id, delivered }
    }
}

prop_compose! {
    fn operation()(
        id in any::<u128>(),
        action in prop::sample::select(Action::ALL.to_vec()),
        status in prop::sample::select(vec![
            Status::NotStarted, Status::Running, Status::Succeeded, Status::Failed, Status::Canceled,
        ]),
        outcome in prop::sample::select(vec![
            None, Some(Outcome::Canceled), Some(Outcome::NothingToCancel), Some(Outcome::AlreadyFailed),
            Some(Outcome::AlreadyCompleted), Some(Outcome::NotCanceled), Some(Outcome::Unknown),
        ]),
        names in ("[a-z._-]{3,128}", "[A-Z0-9]{1,128}", "[a-z]{1,64}", "[a-z.]{1,128}"),
        times in (time(), time()),
        portal in portal(),
        error in proptest::option::of((prop::sample::select(ProblemCode::ALL), ".{0,60}")),
        idempotency in proptest::option::of((any::<[u8; 32]>(), any::<[u8; 32]>())),
        evidence in prop_oneof![Just(Evidence::default()), evidence()],
    ) -> Operation {
        Operation {
            id: Uuid::from_u128(id).into(),
            action,
            status,
            outcome,
            target: Target::sample(&names.1, &names.0),
            requested_by: CallerName::parse(&names.2).unwrap(),
            request_id: RequestId::parse(&names.3).unwrap(),
            idempotency: idempotency.map(|(key, payload)| Box::new(Idempotency {
                key: key.into(),
                payload: payload.into(),
            })),
            created_at: times.0,
            updated_at: times.1,
            portal,
            error: error.map(|(code, message)| OperationError::new(code, message)),
            evidence,
        }
    }
}

#[test]
fn every_field_comes_back_as_it_was() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let home = Home::new();
    let store = runtime.block_on(home.store());
    proptest!(|(batch in prop::collection::vec(operation(), 1..10))| {
        let batch: Vec<_> = batch.into_iter().map(Arc::new).collect();
        let mut expected: Vec<Found> = batch.iter().map(|o| (o.id, Ok(Operation::clone(o)))).collect();
        let ids: Vec<_> = batch.iter().map(|operation| operation.id).collect();
        let mut found = runtime.block_on(async {
            store.save(&batch).await.unwrap();
            store.find(&ids).await.unwrap()
        });
        expected.sort_by_key(|(id, _)| *id);
        found.sort_by_key(|(id, _)| *id);
        prop_assert_eq!(found, expected);
    });
}
