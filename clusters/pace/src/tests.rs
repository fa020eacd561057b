use super::*;
use rstest::rstest;

#[rstest]
#[case::absent(None, Ok(Pace::REAL))]
#[case::fast(Some("0.02"), Ok(Pace::FAST))]
#[case::one(Some("1"), Ok(Pace::REAL))]
fn parses(#[case] value: Option<&str>, #[case] expected: Result<Pace, String>) {
    assert_eq!(Pace::parse(value), expected);
}

#[rstest]
#[case("0")]
#[case("-1")]
#[case("1.5")]
#[case("fast")]
#[case("NaN")]
fn refuses(#[case] value: &str) {
    let error = Pace::parse(Some(value)).unwrap_err();
    assert!(error.contains(value) && error.contains("above 0"), "{error}");
}

#[rstest]
#[case::xds_delay(10_000, 200, 500, 1500)]
#[case::dial(20_000, 400, 500, 1500)]
#[case::gate(600_000, 12_000, 12_000, 12_000)]
#[case::shorter_than_the_floors(250, 5, 250, 250)]
fn shrinks_but_not_below_the_kernel(
    #[case] real: u64,
    #[case] wait: u64,
    #[case] network: u64,
    #[case] dial: u64,
) {
    let real = Duration::from_millis(real);
    assert_eq!(Pace::FAST.wait(real).as_millis(), u128::from(wait));
    assert_eq!(Pace::FAST.network(real).as_millis(), u128::from(network));
    assert_eq!(Pace::FAST.dial(real).as_millis(), u128::from(dial));
    assert_eq!(Pace::REAL.dial(real), real);
}
