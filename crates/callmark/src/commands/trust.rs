//! `callmark trust`: what doubtful transcripts do to every metric, and how far scores and people agree.

use crate::cli::{Format, TrustArguments};
use crate::exit::{Exit, UsageError, say};
use callmark_query::{Agreement, TrustLimits, TrustReport, report_trust};
use comfy_table::{Table, presets};
use serde_json::json;
use std::io::Write;

pub(crate) fn trust(arguments: &TrustArguments) -> anyhow::Result<Exit> {
    for (flag, value) in
        [("--least-confidence", arguments.least_confidence), ("--most-risk", arguments.most_risk)]
    {
        if !(0.0..=1.0).contains(&value) {
            return Err(UsageError(format!("{flag} {value}: give a number from 0 to 1")).into());
        }
    }
    let limits = TrustLimits { least_confidence: arguments.least_confidence, most_risk: arguments.most_risk };
    let report =
        super::runtime()?.block_on(report_trust(&arguments.dataset, limits, arguments.reviews.as_deref()))?;
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => writeln!(out, "{}", as_json(&report))?,
        Format::Table => print(&report, &mut out)?,
    }
    if arguments.reviews.is_none() {
        say("agreement with people is shown with --reviews FILE");
    }
    Ok(Exit::Done)
}

fn as_json(report: &TrustReport) -> serde_json::Value {
    let metrics = report.metrics.iter().map(|m| {
        json!({
            "metric": m.metric, "all": m.all, "trusted": m.trusted, "doubtful": m.doubtful,
            "calls": m.calls[0], "trusted_calls": m.calls[1], "doubtful_calls": m.calls[2],
        })
    });
    let agreement = report.agreement.iter().map(|a| {
        json!({
            "question": a.question, "calls": a.calls, "agreed": a.agreed, "kappa": a.kappa,
            "precision": a.precision, "recall": a.recall,
        })
    });
    json!({
        "calls": report.calls, "doubtful": report.doubtful, "written": report.written,
        "metrics": metrics.collect::<Vec<_>>(), "agreement": agreement.collect::<Vec<_>>(),
    })
}

fn print(report: &TrustReport, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} of {} calls have doubtful transcripts; {} were written and have none to doubt",
        report.doubtful, report.calls, report.written
    )?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.3}"));
    let mut table = Table::new();
    let header = [
        "metric (mean over calls)",
        "all",
        "without doubtful",
        "difference",
        "doubtful alone",
        "calls",
        "doubtful",
    ];
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    for m in report.metrics.iter().filter(|m| m.calls[0] > 0) {
        let difference = m.trusted.zip(m.all).map(|(t, a)| t - a);
        table.add_row([
            m.metric.clone(),
            number(m.all),
            number(m.trusted),
            number(difference),
            number(m.doubtful),
            m.calls[0].to_string(),
            m.calls[2].to_string(),
        ]);
    }
    writeln!(out, "{table}")?;
    if !report.agreement.is_empty() {
        let mut table = Table::new();
        let header = ["question", "calls judged by both", "agreed", "kappa", "precision", "recall"];
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
        for Agreement { question, calls, agreed, kappa, precision, recall } in &report.agreement {
            table.add_row([
                question.clone(),
                calls.to_string(),
                number(*agreed),
                number(*kappa),
                number(*precision),
                number(*recall),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}
