//! The internal names of models: `<model>_<version>`.

/// The version every model has inside one replica's repository, whatever its version in the scheduler.
pub(crate) const PINNED_VERSION: u32 = 1;

/// `iris`, 1 → `iris_1`.
pub(crate) fn internal(model: &str, version: u32) -> String {
    format!("{model}_{version}")
}

/// `iris_1` → `iris`, 1; `None` when the part behind the last `_` is no number.
pub(crate) fn original(internal: &str) -> Option<(&str, u32)> {
    let (model, version) = internal.rsplit_once('_')?;
    Some((model, version.parse().ok()?))
}

/// The directory number of a download: FNV-1a over `<internal name>-<uri>`.
pub(crate) fn download_number(internal: &str, uri: &str) -> u32 {
    format!("{internal}-{uri}")
        .bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("iris_1", Some(("iris", 1)))]
    #[case("a_b_12", Some(("a_b", 12)))]
    #[case("iris", None)]
    #[case("iris_x", None)]
    #[case("", None)]
    fn internal_names_split_at_the_last_mark(#[case] name: &str, #[case] expected: Option<(&str, u32)>) {
        assert_eq!(original(name), expected);
    }

    // Numbers printed by Seldon 2.9.1 for these pairs.
    #[rstest]
    #[case("iris_1", "s3://models/iris", 1_086_724_891)]
    #[case("e6a_1", "s3://models/iris", 3_553_606_398)]
    #[case("missingbucket_1", "s3://nobucket/iris", 4_194_708_395)]
    fn download_numbers_are_seldons(#[case] name: &str, #[case] uri: &str, #[case] number: u32) {
        assert_eq!(download_number(name, uri), number);
    }
}
