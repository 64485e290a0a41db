//! Durability of the ledger's commits.

/// The failures that a commit to the ledger survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut: every commit is flushed to the disk before it is reported.
    #[default]
    Full,
    /// The end of the process. A power cut may lose the last commits; the file stays
    /// consistent.
    Relaxed,
}

impl Durability {
    /// Both values, with their names in the configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("full", Self::Full), ("relaxed", Self::Relaxed)];
}
