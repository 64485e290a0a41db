//! Operations in their three stages, for the tests of this room.

use crate::domain::{Delivered, Operation, Outcome, Status};

pub fn intent() -> Operation {
    Operation::sample()
}

pub fn running(mut operation: Operation) -> Operation {
    operation.status = Status::Running;
    operation.portal.http_status = Some(202);
    operation.portal.delivered = Delivered::Yes;
    operation
}

pub fn finished(mut operation: Operation) -> Operation {
    let at = operation.updated_at;
    operation.finish(Outcome::Canceled, None);
    operation.updated_at = at;
    operation
}
