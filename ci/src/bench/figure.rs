//! Figures, and whether they keep their limits. Pure.

use std::fmt::Write;

use serde::Serialize;

/// What it was taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum On {
    Embedded,
    Kubernetes,
    /// This machine alone.
    Machine,
}

/// A sample's middle and ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) runs: usize,
}

impl Spread {
    /// None of an empty sample.
    pub(super) fn of(mut sample: Vec<f64>) -> Option<Spread> {
        sample.sort_by(f64::total_cmp);
        let (first, last) = (*sample.first()?, *sample.last()?);
        let middle = (sample[(sample.len() - 1) / 2] + sample[sample.len() / 2]) / 2.0;
        let round = |value: f64| (value * 100.0).round() / 100.0;
        Some(Spread { median: round(middle), min: round(first), max: round(last), runs: sample.len() })
    }
}

/// What was seen, or why nothing was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Sample {
    Seen(Spread),
    LeftOut { left_out: String },
}

impl Sample {
    /// `values`, or why there are none.
    pub(super) fn of(values: Result<Vec<f64>, String>) -> Sample {
        match values.map(Spread::of) {
            Ok(Some(spread)) => Sample::Seen(spread),
            Ok(None) => Sample::LeftOut { left_out: "nothing was measured".into() },
            Err(left_out) => Sample::LeftOut { left_out },
        }
    }
}

/// How a figure stands to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Kept,
    NotKept,
    /// There is none.
    Unlimited,
    /// There is no figure.
    NotSeen,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// The same words for the same thing on two kinds of clusters.
    what: &'static str,
    on: On,
    unit: &'static str,
    /// What its median may be at most.
    limit: Option<f64>,
    verdict: Verdict,
    #[serde(flatten)]
    sample: Sample,
}

impl Figure {
    pub(super) fn new(
        (what, on): (&'static str, On),
        unit: &'static str,
        limit: Option<f64>,
        values: Result<Vec<f64>, String>,
    ) -> Figure {
        let sample = Sample::of(values);
        let verdict = match (&sample, limit) {
            (Sample::LeftOut { .. }, _) => Verdict::NotSeen,
            (Sample::Seen(_), None) => Verdict::Unlimited,
            (Sample::Seen(spread), Some(limit)) if spread.median <= limit => Verdict::Kept,
            (Sample::Seen(_), Some(_)) => Verdict::NotKept,
        };
        Figure { what, on, unit, limit, verdict, sample }
    }

    /// `0.14 s (limit 0.4: kept)`.
    fn shown(&self) -> String {
        let limit = self.limit.map(|limit| format!("limit {limit}")).unwrap_or_default();
        let unit = self.unit;
        match (&self.sample, self.verdict) {
            (Sample::LeftOut { .. }, _) if self.limit.is_none() => "left out".into(),
            (Sample::LeftOut { .. }, _) => format!("left out ({limit} {unit})"),
            (Sample::Seen(seen), Verdict::Kept) => format!("{} {unit} ({limit}: kept)", seen.median),
            (Sample::Seen(seen), Verdict::NotKept) => format!("{} {unit} ({limit}: NOT KEPT)", seen.median),
            (Sample::Seen(seen), Verdict::Unlimited | Verdict::NotSeen) => format!("{} {unit}", seen.median),
        }
    }
}

/// Medians side by side, and below them why some are missing.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut names: Vec<&str> = figures.iter().map(|figure| figure.what).collect();
    names.dedup();
    let cell = |what: &str, on: &[On]| {
        let found = figures.iter().find(|figure| figure.what == what && on.contains(&figure.on));
        found.map(Figure::shown).unwrap_or_default()
    };
    let mut rows = vec![[String::new(), "embedded, or no cluster".into(), "kubernetes".into()]];
    rows.extend(names.iter().map(|what| {
        [(*what).to_owned(), cell(what, &[On::Embedded, On::Machine]), cell(what, &[On::Kubernetes])]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [what, embedded, kubernetes] in &rows {
        let line = format!("{what:<first$}  {embedded:<second$}  {kubernetes}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for figure in figures {
        let Sample::LeftOut { left_out } = &figure.sample else { continue };
        match reasons.iter_mut().find(|(reason, _)| reason == left_out) {
            Some((_, what)) => what.push(figure.what),
            None => reasons.push((left_out, vec![figure.what])),
        }
    }
    for (reason, what) in reasons {
        let _ = writeln!(text, "left out, as {reason}: {}", what.join("; "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_median_is_the_middle() {
        let spread = |sample: &[f64]| {
            Spread::of(sample.to_vec()).map(|spread| (spread.min, spread.median, spread.max))
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some((1.0, 2.5, 4.0)));
        assert_eq!(spread(&[]), None);
    }

    #[rstest]
    #[case::below(Some(2.5), Ok(vec![1.0, 2.0, 9.0]), Verdict::Kept)]
    #[case::at(Some(2.0), Ok(vec![2.0]), Verdict::Kept)]
    #[case::above(Some(1.9), Ok(vec![2.0]), Verdict::NotKept)]
    #[case::unlimited(None, Ok(vec![2.0]), Verdict::Unlimited)]
    #[case::empty(Some(2.0), Ok(Vec::new()), Verdict::NotSeen)]
    #[case::left_out(Some(2.0), Err("it needs root".into()), Verdict::NotSeen)]
    fn a_figure_is_held_against_its_limit(
        #[case] limit: Option<f64>,
        #[case] values: Result<Vec<f64>, String>,
        #[case] expected: Verdict,
    ) {
        assert_eq!(Figure::new(("a", On::Embedded), "s", limit, values).verdict, expected);
    }

    #[test]
    fn figures_stand_side_by_side_and_what_is_missing_has_a_reason() {
        let no_root = || Err("it needs root".to_owned());
        let figures = [
            Figure::new(("boot", On::Embedded), "s", Some(0.4), Ok(vec![0.14])),
            Figure::new(("boot", On::Kubernetes), "s", Some(12.0), no_root()),
            Figure::new(("first 200", On::Embedded), "s", Some(3.0), Ok(vec![3.5])),
            Figure::new(("first 200", On::Kubernetes), "s", None, no_root()),
            Figure::new(("size", On::Machine), "MB", None, Ok(vec![24.2])),
        ];
        assert_eq!(
            table(&figures),
            "           embedded, or no cluster    kubernetes\n\
             boot       0.14 s (limit 0.4: kept)   left out (limit 12 s)\n\
             first 200  3.5 s (limit 3: NOT KEPT)  left out\n\
             size       24.2 MB\n\
             left out, as it needs root: boot; first 200\n"
        );
    }

    #[test]
    fn a_record_of_figures_says_what_was_left_out() {
        let seen = Figure::new(("a", On::Embedded), "s", Some(1.0), Ok(vec![2.0]));
        let seen = serde_json::to_value(seen).unwrap();
        let expected = serde_json::json!({
            "what": "a", "on": "embedded", "unit": "s", "limit": 1.0, "verdict": "not_kept",
            "median": 2.0, "min": 2.0, "max": 2.0, "runs": 1,
        });
        assert_eq!(seen, expected);
        let missing = Figure::new(("a", On::Kubernetes), "s", None, Err("it needs root".into()));
        assert_eq!(serde_json::to_value(missing).unwrap()["left_out"], "it needs root");
    }
}
