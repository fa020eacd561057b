//! Replica counts as the operator reads them.

/// Replica counts in which 0 means "not given".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scaling {
    pub(crate) replicas: u32,
    pub(crate) min_replicas: u32,
    pub(crate) max_replicas: u32,
}

/// The counts of a spec. `replicas: 0` counts as absent, and an absent count is the minimum, else 1.
///
/// # Errors
/// The operator's text, when the count is outside of its bounds.
pub(crate) fn validated(
    replicas: Option<i32>,
    min: Option<i32>,
    max: Option<i32>,
) -> Result<Scaling, String> {
    let given = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let (min_replicas, max_replicas) = (given(min), given(max));
    let replicas = [given(replicas), min_replicas, 1].into_iter().find(|count| *count > 0).unwrap_or(1);
    if replicas < min_replicas {
        return Err(format!("number of replicas {replicas} must be >= min replicas  {min_replicas}"));
    }
    if max_replicas > 0 && replicas > max_replicas {
        // "min" stands in the original's text too.
        return Err(format!("number of replicas {replicas} must be <= min replicas  {max_replicas}"));
    }
    Ok(Scaling { replicas, min_replicas, max_replicas })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_given(None, None, None, Ok((1, 0, 0)))]
    #[case::zero_counts_as_absent(Some(0), None, None, Ok((1, 0, 0)))]
    #[case::the_minimum_stands_in(None, Some(2), None, Ok((2, 2, 0)))]
    #[case::all_given(Some(2), Some(1), Some(3), Ok((2, 1, 3)))]
    #[case::too_few(Some(1), Some(2), None, Err("number of replicas 1 must be >= min replicas  2"))]
    #[case::too_many(Some(4), None, Some(3), Err("number of replicas 4 must be <= min replicas  3"))]
    fn counts(
        #[case] replicas: Option<i32>,
        #[case] min: Option<i32>,
        #[case] max: Option<i32>,
        #[case] expected: Result<(u32, u32, u32), &str>,
    ) {
        let found = validated(replicas, min, max).map(|s| (s.replicas, s.min_replicas, s.max_replicas));
        assert_eq!(found, expected.map_err(str::to_owned));
    }
}
