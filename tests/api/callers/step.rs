//! The one step of a workflow for GitHub Actions: its script and its variables. Reads only what
//! such a file of ours contains; actionlint checks that it is a workflow.

use std::collections::BTreeMap;

use super::programs::Call;
use crate::tools::file;

pub struct Step {
    pub script: String,
    /// The variables, with the expressions that they are given.
    variables: BTreeMap<String, String>,
}

impl Step {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(file(path)).unwrap();
        let step = Self {
            script: block(&text, "run: |"),
            variables: block(&text, "env:")
                .lines()
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        };
        // An expression is replaced before the shell reads the script: whoever chooses its value
        // could write commands.
        assert!(!step.script.contains("${{"), "{}", step.script);
        step
    }

    /// The variables as the runner sets them for this call.
    pub fn environment(&self, call: &Call) -> BTreeMap<String, String> {
        let value = |(name, expression): (&String, &String)| {
            let value = match expression.as_str() {
                "${{ vars.OFFERGATE_URL }}" => call.url,
                "${{ secrets.OFFERGATE_API_KEY }}" => call.key,
                "${{ inputs.offer }}" => call.offer,
                // The only constant; the tests have less time.
                "600" => call.seconds,
                other => panic!("{name}: {other}"),
            };
            (name.clone(), value.to_owned())
        };
        self.variables.iter().map(value).collect()
    }
}

/// The lines below the only line with this key, without their common indentation.
fn block(text: &str, key: &str) -> String {
    let mut lines = text.lines().skip_while(|line| line.trim() != key);
    let depth = |line: &str| line.len() - line.trim_start().len();
    let outer = depth(lines.next().unwrap());
    let block: Vec<_> = lines
        .take_while(|line| line.trim().is_empty() || depth(line) > outer)
        .collect();
    let inner = depth(block[0]);
    let line = |line: &&str| line.get(inner..).unwrap_or_default().to_owned() + "\n";
    assert!(
        !text
            .split(key)
            .nth(2)
            .is_some_and(|rest| rest.starts_with('\n'))
    );
    block.iter().map(line).collect()
}
