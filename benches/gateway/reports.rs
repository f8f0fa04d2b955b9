//! What `smppgw load` and `smppgw simulate` print as JSON: the only place that knows their field names.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Outcome;

/// The fields of `smppgw load --json` that are used here.
#[derive(Debug, Clone, Deserialize)]
pub struct LoadReport {
    pub per_second: f64,
    pub response_ms: Quantiles,
    pub receipt_ms: Quantiles,
    pub lateness_ms: Quantiles,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl LoadReport {
    pub fn parse(json: &str) -> Outcome<LoadReport> {
        Ok(serde_json::from_str(json)?)
    }
}

/// From submission to the operator, as the simulated operators saw it by the stamps of `smppgw load --stamp`: of each quantile the
/// slowest operator's. `None` when there were no stamps.
pub fn sent_latency(summary: &str) -> Outcome<Option<Quantiles>> {
    let last = summary.lines().last().unwrap_or("{}");
    let operators: BTreeMap<String, Operator> = serde_json::from_str(last)?;
    let stamped = operators.into_values().filter_map(|operator| operator.transit_ms).filter(|transit| transit.count > 0);
    Ok(stamped.reduce(|a, b| Quantiles {
        count: a.count + b.count,
        p50: a.p50.max(b.p50),
        p99: a.p99.max(b.p99),
        p999: a.p999.max(b.p999),
    }))
}

/// The part of an operator's summary that is used here.
#[derive(Deserialize)]
struct Operator {
    transit_ms: Option<Quantiles>,
}
