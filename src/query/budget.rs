//! What one query may cost, over all of its conditions together.

use super::Pattern;

/// The most texts and patterns that are looked for within texts. PostgreSQL remembers 32 compiled
/// patterns, and would compile more of them anew for every row.
const MAX_PATTERNS: usize = 32;

/// The most that all patterns cost, and the most bytes that they are written out as.
const MAX_COST: usize = 2048;
const MAX_WRITTEN: usize = 256 * 1024;

/// The most values that are compared with. One in an entry of `match` counts for four: its SQL is as much longer.
const MAX_OPERANDS: usize = 500;
const ENTRY: usize = 4;

/// What is left of it.
pub(super) struct Budget {
    patterns: usize,
    cost: usize,
    written: usize,
    operands: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            patterns: MAX_PATTERNS,
            cost: MAX_COST,
            written: MAX_WRITTEN,
            operands: MAX_OPERANDS,
        }
    }
}

/// Takes `amount` from what is `left`, if it is there.
fn take(left: &mut usize, amount: usize, rule: impl FnOnce() -> String) -> Result<(), String> {
    *left = left.checked_sub(amount).ok_or_else(rule)?;
    Ok(())
}

impl Budget {
    /// Allows one more value to compare with. The error is the rule that it breaks.
    pub(super) fn operand(&mut self) -> Result<(), String> {
        self.operands(1)
    }

    /// Allows one more entry of `match`, beside its value.
    pub(super) fn entry(&mut self) -> Result<(), String> {
        self.operands(ENTRY - 1)
    }

    fn operands(&mut self, count: usize) -> Result<(), String> {
        take(&mut self.operands, count, || {
            format!("the query's conditions must have at most {MAX_OPERANDS} values in all")
        })
    }

    /// Allows the pattern that `read` gives. The error is the rule that it breaks.
    pub(super) fn pattern(
        &mut self,
        read: impl FnOnce() -> Result<Pattern, &'static str>,
    ) -> Result<Pattern, String> {
        take(&mut self.patterns, 1, || {
            format!(
                "the query's conditions must look for at most {MAX_PATTERNS} texts and patterns in all"
            )
        })?;
        let pattern = read()?;
        let simpler = || "the query's patterns must be shorter or simpler in all".to_owned();
        take(&mut self.cost, pattern.cost, simpler)?;
        take(&mut self.written, pattern.rust.len() + pattern.postgres.len(), simpler)?;
        Ok(pattern)
    }
}
