//! Every metric of a dataset with and without the calls whose transcripts are least to be trusted, and how far the scores
//! agree with what people said of the same calls.
//!
//! A figure that moves when doubtful transcripts are left out says more about the recogniser than about the calls.

use crate::tables::{QueryError, Tables};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use std::path::Path;

/// Which calls are not trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrustLimits {
    /// Least mean probability of a call's words.
    pub least_confidence: f64,
    /// Largest share of words that were dropped as invented or have little evidence.
    pub most_risk: f64,
}

impl Default for TrustLimits {
    fn default() -> Self {
        Self { least_confidence: 0.6, most_risk: 0.2 }
    }
}

/// A metric: the mean of an expression over calls.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedMetric {
    /// Its name; that of the column where it is one.
    pub metric: String,
    /// Over all calls that have it.
    pub all: Option<f64>,
    /// Over those that are trusted.
    pub trusted: Option<f64>,
    /// Over those that are not.
    pub doubtful: Option<f64>,
    /// Calls that have it, of each kind: all, trusted, not.
    pub calls: [i64; 3],
}

/// How far scores and people agree on one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// The question; `human_request: RULE` for one rule.
    pub question: String,
    /// Calls that both judged.
    pub calls: i64,
    /// Share on which they agree.
    pub agreed: Option<f64>,
    /// Cohen's kappa (Cohen 1960): agreement beyond chance, 1 for all; `None` where one of them always says the same.
    pub kappa: Option<f64>,
    /// Share of what was found that people confirm.
    pub precision: Option<f64>,
    /// Share of what people say that was found.
    pub recall: Option<f64>,
}

/// The report.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustReport {
    /// Calls of the dataset.
    pub calls: i64,
    /// Calls that are not trusted.
    pub doubtful: i64,
    /// Calls without a recogniser (chats, transcripts): trusted.
    pub written: i64,
    /// Metrics in the order of the schema.
    pub metrics: Vec<TrustedMetric>,
    /// Agreement with reviews; empty where there are none.
    pub agreement: Vec<Agreement>,
}

/// Shares of calls, by name and condition; a condition that is null for a call leaves it out.
const SHARES: &[(&str, &str)] = &[
    ("share_settled", "outcome in ('resolved', 'escalated_resolved')"),
    ("share_escalated", "outcome = 'escalated_resolved'"),
    ("share_transferred", "outcome = 'transferred'"),
    ("share_abandoned", "outcome = 'abandoned'"),
    ("share_unresolved", "outcome = 'unresolved'"),
    ("share_asked_for_human", "human_request_count > 0"),
    ("share_honoured", "human_request_honoured"),
];

/// Nothing is known of requests and outcomes of calls in other languages.
const KNOWN: &str = "not list_contains(flags, 'language_not_scored')";

/// Columns of `calls` that are null, for this report, where the language is not known.
const FROM_WORDS: &[&str] = &["human_request_count", "deflection_count"];

/// Columns of `calls` that are no measure of what happened on the call.
const NO_METRIC: &[&str] =
    &["source_partition", "source_offset", "sample_rate", "channels", "resolution_evidence_turn"];

/// Makes the report on the dataset in `dir`; `reviews` is a Parquet file as `compare --reviews` takes it.
///
/// # Errors
/// Where the dataset or the reviews cannot be read.
pub async fn report_trust(
    dir: &Path,
    limits: TrustLimits,
    reviews: Option<&Path>,
) -> Result<TrustReport, QueryError> {
    let tables = Tables::open(dir).await?;
    let doubtful = format!(
        "coalesce(asr_confidence < {} or hallucination_risk > {}, false)",
        limits.least_confidence, limits.most_risk
    );
    let mut names: Vec<(String, String)> = SHARES
        .iter()
        .map(|(name, when)| ((*name).to_owned(), known(&format!("cast({when} as int)"))))
        .collect();
    names.extend(
        tables.numeric_columns("calls").await?.into_iter().filter(|c| !NO_METRIC.contains(&c.as_str())).map(
            |column| {
                let quoted = format!("\"{column}\"");
                let value = if FROM_WORDS.contains(&column.as_str()) { known(&quoted) } else { quoted };
                (column, value)
            },
        ),
    );
    let each = names.iter().enumerate().map(|(i, (_, value))| {
        let of = |what: &str, when: &str| format!("avg({value}) filter (where {when}) as {what}{i}");
        let count = |what: &str, when: &str| format!("count({value}) filter (where {when}) as {what}{i}");
        [
            of("a", "true"),
            of("t", "not doubtful"),
            of("d", "doubtful"),
            count("na", "true"),
            count("nt", "not doubtful"),
            count("nd", "doubtful"),
        ]
        .join(", ")
    });
    let sql = format!(
        "select count(*) as calls, count(*) filter (where doubtful) as doubtful, \
         count(*) filter (where asr_model is null) as written, {} from (select *, {doubtful} as doubtful from calls)",
        each.collect::<Vec<_>>().join(", ")
    );
    let rows = tables.query(&sql).await?;
    let row = Answer(&rows);
    let metrics = names.iter().enumerate().map(|(i, (name, _))| TrustedMetric {
        metric: name.clone(),
        all: row.float(&format!("a{i}")),
        trusted: row.float(&format!("t{i}")),
        doubtful: row.float(&format!("d{i}")),
        calls: ["na", "nt", "nd"].map(|what| row.int(&format!("{what}{i}"))),
    });
    Ok(TrustReport {
        calls: row.int("calls"),
        doubtful: row.int("doubtful"),
        written: row.int("written"),
        metrics: metrics.collect(),
        agreement: match reviews {
            Some(path) => agreement(&tables, path).await?,
            None => Vec::new(),
        },
    })
}

fn known(value: &str) -> String {
    format!("case when {KNOWN} then {value} end")
}

/// The rules by which requests were found, call by call.
const FIRED: &str = "(select call_id, array_agg(distinct rule_id) as rules from events \
    where type = 'human_request' and rule_id is not null group by call_id)";

async fn agreement(tables: &Tables, reviews: &Path) -> Result<Vec<Agreement>, QueryError> {
    let columns = tables.add_file("reviews", reviews).await?;
    if !columns.iter().any(|c| c == "call_id") {
        return Err(QueryError::Failed(format!("{}: column call_id is missing", reviews.display())));
    }
    let has = |name: &str| columns.iter().any(|c| c == name);
    let mut questions = Vec::new();
    if has("human_request") {
        questions.push((
            "human_request".to_owned(),
            "c.human_request_count > 0".to_owned(),
            "r.human_request".to_owned(),
        ));
        let rules = "select distinct rule_id from events where type = 'human_request' and rule_id is not null order by 1";
        for batch in tables.query(rules).await? {
            let ids = arrow::compute::cast(batch.column(0), &DataType::Utf8)
                .map_err(|e| QueryError::Failed(e.to_string()))?;
            for id in ids.as_string::<i32>().iter().flatten() {
                let quoted = id.replace('\'', "''");
                let fired = format!("coalesce(list_contains(f.rules, '{quoted}'), false)");
                questions.push((format!("human_request: {id}"), fired, "r.human_request".to_owned()));
            }
        }
    }
    if has("outcome") {
        let settled = |of: &str| {
            format!(
                "case when {of}.outcome <> 'unknown' then {of}.outcome in ('resolved', 'escalated_resolved') end"
            )
        };
        questions.push(("settled".to_owned(), settled("c"), settled("r")));
    }
    if has("sentiment") {
        let of = |value: &str| format!("{value} < 0");
        questions.push((
            "customer sentiment below 0".to_owned(),
            of("c.sentiment_overall_score_customer"),
            of("r.sentiment"),
        ));
    }
    let mut found = Vec::new();
    for (question, scored, said) in questions {
        let sql = format!(
            "select count(*) as n, count(*) filter (where s and p) as both, count(*) filter (where s) as scored, \
             count(*) filter (where p) as said, count(*) filter (where s = p) as agreed from \
             (select {scored} as s, {said} as p from reviews r join calls c on c.call_id = r.call_id \
             left join {FIRED} f on f.call_id = c.call_id where not list_contains(c.flags, 'language_not_scored')) \
             where s is not null and p is not null"
        );
        let rows = tables.query(&sql).await?;
        let row = Answer(&rows);
        let counts = ["n", "both", "scored", "said", "agreed"].map(|name| row.int(name) as f64);
        found.push(agreed(question, counts));
    }
    Ok(found)
}

/// From how many were judged, found and said, found, said, and judged alike.
fn agreed(question: String, [n, both, scored, said, alike]: [f64; 5]) -> Agreement {
    let share = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let observed = share(alike, n);
    let chance = (n > 0.0).then(|| (scored * said + (n - scored) * (n - said)) / (n * n));
    let kappa = observed.zip(chance).filter(|(_, c)| *c < 1.0).map(|(o, c)| (o - c) / (1.0 - c));
    Agreement {
        question,
        calls: n as i64,
        agreed: observed,
        kappa,
        precision: share(both, scored),
        recall: share(both, said),
    }
}

/// The one row of an answer.
struct Answer<'a>(&'a [RecordBatch]);

impl Answer<'_> {
    fn float(&self, name: &str) -> Option<f64> {
        let column = self.0.iter().find(|b| b.num_rows() > 0)?.column_by_name(name)?;
        let array = column.as_primitive_opt::<Float64Type>()?;
        array.is_valid(0).then(|| array.value(0))
    }

    fn int(&self, name: &str) -> i64 {
        let column = self.0.iter().find(|b| b.num_rows() > 0).and_then(|b| b.column_by_name(name));
        column.and_then(|c| c.as_primitive_opt::<Int64Type>()).map_or(0, |array| array.value(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_is_agreement_beyond_chance() {
        // Cohen's own kind of example: 20 both yes, 15 both no, 5 and 10 apart.
        let found = agreed("q".to_owned(), [50.0, 20.0, 25.0, 30.0, 35.0]);
        assert!((found.agreed.unwrap() - 0.7).abs() < 1e-12);
        assert!((found.kappa.unwrap() - 0.4).abs() < 1e-12);
        assert_eq!((found.precision, found.recall), (Some(0.8), Some(20.0 / 30.0)));
        let always = agreed("q".to_owned(), [10.0, 10.0, 10.0, 10.0, 10.0]);
        assert_eq!((always.agreed, always.kappa), (Some(1.0), None));
        assert_eq!(agreed("q".to_owned(), [0.0; 5]).kappa, None);
    }
}
