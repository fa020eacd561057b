//! The suite, timed on one kind of cluster.

use anyhow::Context;

use super::cluster::{Kind, up};
use crate::conformance::{Case, Conformance, Run};

/// What runs of it showed.
#[derive(Debug, Default)]
pub(super) struct Suite {
    /// Of each whole run.
    seconds: Vec<f64>,
    /// The same for each case that was judged.
    seconds_a_case: Vec<f64>,
    /// Why these figures are worth nothing: a case that fails early is soon done.
    not_green: Option<String>,
}

impl Suite {
    /// Of whole runs, or why they tell nothing.
    pub(super) fn seconds(&self) -> Result<Vec<f64>, String> {
        self.not_green.clone().map_or_else(|| Ok(self.seconds.clone()), Err)
    }

    /// For each case that was judged, or why they tell nothing.
    pub(super) fn seconds_a_case(&self) -> Result<Vec<f64>, String> {
        self.not_green.clone().map_or_else(|| Ok(self.seconds_a_case.clone()), Err)
    }

    fn add(&mut self, run: Run) {
        let summary = run.summary.map(|summary| (summary.seconds, summary.cases));
        let (seconds, cases) = summary.unwrap_or_default();
        let judged = cases.iter().filter(|case| case.verdict != "skipped").count();
        let red: Vec<String> = cases.iter().filter(|case| !case.is_green()).map(Case::title).collect();
        if run.code != Some(0) || judged == 0 || !red.is_empty() {
            let why = format!("a run ended with {:?}; not green: {}", run.code, red.join(", "));
            self.not_green.get_or_insert(why);
        }
        eprintln!("suite: {seconds:.1} s, {judged} cases judged");
        self.seconds.push(seconds);
        self.seconds_a_case.push(seconds / judged.max(1) as f64);
    }
}

/// `count` times with `arguments`.
///
/// # Errors
/// When it cannot be started.
pub(super) fn measure(conformance: &Conformance, arguments: &[&str], count: u32) -> anyhow::Result<Suite> {
    let mut suite = Suite::default();
    for _ in 0..count {
        suite.add(conformance.run(arguments)?);
    }
    Ok(suite)
}

/// `count` times on one embedded cluster that is known by its kubeconfig alone.
///
/// # Errors
/// When it does not come up, or the suite cannot be started.
pub(super) fn on_given(conformance: &Conformance, count: u32) -> anyhow::Result<Suite> {
    if count == 0 {
        return Ok(Suite::default());
    }
    let up = up(conformance, Kind::Embedded, "none")?;
    let kubeconfig = up.home().join("kubeconfig");
    let kubeconfig = kubeconfig.to_str().context("a path is text")?;
    let there = ["--cluster", "given", "--kubeconfig", kubeconfig, "--context", up.name()];
    measure(conformance, &[&there[..], &["--cni", "flannel", "--allow-cluster-scope"]].concat(), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Summary;

    fn suite(code: i32, cases: &[&str]) -> Suite {
        let case = |verdict: &&str| Case {
            family: "policy".into(),
            name: "a".into(),
            cni: "flannel".into(),
            topology: "cluster-wide".into(),
            cluster: "given".into(),
            verdict: (*verdict).into(),
            message: None,
        };
        let cases = cases.iter().map(case).collect();
        let summary = Summary { seconds: 90.0, cases, comparison: None };
        let mut suite = Suite::default();
        suite.add(Run { code: Some(code), output: String::new(), summary: Some(summary) });
        suite
    }

    #[test]
    fn what_was_skipped_took_no_time() {
        let suite = suite(0, &["passed", "passed", "passed", "skipped"]);
        assert_eq!((suite.seconds(), suite.seconds_a_case()), (Ok(vec![90.0]), Ok(vec![30.0])));
    }

    #[test]
    fn a_suite_that_is_not_green_has_no_figure() {
        let why = "a run ended with Some(1); not green: policy: a [given flannel cluster-wide]";
        assert_eq!(suite(1, &["passed", "failed"]).seconds(), Err(why.into()));
        suite(4, &["skipped"]).seconds_a_case().unwrap_err();
        suite(0, &["skipped"]).seconds().unwrap_err();
    }
}
