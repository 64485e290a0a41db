//! A cursor over the merged configuration: takes the keys of a table one by one.
//!
//! Each getter reports what is wrong with its key and returns `None`; a `None` has always
//! left a problem behind, so the caller needs no message of its own. A key that no getter
//! took is unknown, and is refused when the table is finished.

mod cursor;
mod lists;
mod values;
mod words;

pub use cursor::KeyKind;
pub(super) use cursor::{At, Reading, Table, keys_of};
pub(super) use lists::Named;
pub(super) use words::{limited, one_of};

/// Evaluates every field before it gives up on any, so that no problem hides another.
macro_rules! all {
    ($name:ident $(:: $variant:ident)? { $($field:ident $(: $value:expr)?),+ $(,)? }) => {{
        $($(let $field = $value;)?)+
        (|| Some($name $(:: $variant)? { $($field: $field?),+ }))()
    }};
}
pub(super) use all;
