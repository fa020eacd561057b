//! `reports merge`: one report of what several shards ran.

use reports::{ExitCode, Gap, Joined, Record, Style, Verdict, exit_code, read_shards, result_line, totals};
use scenarios::{Filters, cases};

use crate::destinations::write_reports;
use crate::options::{Failure, MergeOptions, ReportFiles};
use crate::screen::say;

/// Joins the records, in the catalogue's order; the exit code is that of one run of all.
pub(crate) fn merge(options: &MergeOptions) -> Result<ExitCode, Failure> {
    let Joined { mut records, gaps } = read_shards(&options.records).map_err(Failure::usage)?;
    report(&mut records, &gaps, &options.files)
}

/// Prints and writes what was recorded. With `gaps` nothing can be said of the whole.
pub(crate) fn report(records: &mut [Record], gaps: &[Gap], files: &ReportFiles) -> Result<ExitCode, Failure> {
    in_order(records)?;
    let records: &[Record] = records;
    let seconds = wall_clock(records);
    for record in records {
        say(result_line(record, Style::Plain));
    }
    say(format!("\n{}", totals(records, seconds)));
    write_reports(files, records, None, seconds)?;
    if !gaps.is_empty() {
        let told: Vec<String> = gaps.iter().map(Gap::to_string).collect();
        return Err(Failure::machine(told.join("; ")));
    }
    Ok(exit_code(records.iter().map(|record| record.verdict.unwrap_or(Verdict::Inconclusive))))
}

/// Cases that the catalogue does not know stand last.
fn in_order(records: &mut [Record]) -> Result<(), Failure> {
    let known = cases(&Filters::default()).map_err(Failure::usage)?;
    let place = |record: &Record| {
        known
            .iter()
            .position(|case| case.spec(&record.case.cluster).case == record.case)
            .unwrap_or(known.len())
    };
    records.sort_by_key(place);
    Ok(())
}

/// From the first case's begin to the last one's end, in seconds with one decimal.
fn wall_clock(records: &[Record]) -> f64 {
    let began = records.iter().map(|record| record.started.as_millisecond()).min().unwrap_or(0);
    let after = |record: &Record| (record.started.as_millisecond() - began) as f64 / 1000.0 + record.seconds;
    let seconds = records.iter().map(after).fold(0.0, f64::max);
    (seconds * 10.0).round() / 10.0
}
