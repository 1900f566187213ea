//! Metrics of rankings within a query: ndcg@k and map@k over rows (query, item).

use super::MetricError;
use super::order::{key, tie_end};
use super::parallel::{each, ranges, sum};

/// Items with their relevance, predicted score and query; the slices have one length. Without
/// queries all rows are one ranking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rankings<'a> {
    pub(super) relevance: &'a [f64],
    pub(super) scores: &'a [f64],
    pub(super) queries: Option<&'a [u32]>,
    /// Only the first so many places count.
    pub(super) k: Option<usize>,
}

/// Rows sorted by query: query `q` has `rows[starts[q]..starts[q + 1]]`.
struct ByQuery {
    starts: Vec<usize>,
    /// `None` where the rows already lie in that order.
    rows: Option<Vec<u32>>,
}

impl ByQuery {
    fn new(rankings: Rankings<'_>) -> Self {
        let rows = rankings.scores.len();
        let Some(queries) = rankings.queries else {
            return Self { starts: vec![0, rows], rows: None };
        };
        let highest = queries.iter().max().map_or(0, |highest| *highest as usize + 1);
        let mut starts = vec![0usize; highest + 1];
        for query in queries {
            starts[*query as usize + 1] += 1;
        }
        for query in 0..highest {
            starts[query + 1] += starts[query];
        }
        if queries.is_sorted() {
            return Self { starts, rows: None };
        }
        let mut next = starts.clone();
        let mut sorted = vec![0u32; rows];
        for (row, query) in (0u32..).zip(queries) {
            let place = &mut next[*query as usize];
            sorted[*place] = row;
            *place += 1;
        }
        Self { starts, rows: Some(sorted) }
    }

    /// `value(items)` for every query that has rows, `items` being (score, relevance) with the
    /// highest score first.
    fn values(&self, rankings: Rankings<'_>, value: impl Fn(&mut Items) -> f64 + Sync) -> Vec<f64> {
        let queries = self.starts.len() - 1;
        // Cut where the rows divide evenly: queries differ in length.
        let cuts: Vec<_> = ranges(rankings.scores.len(), 1)
            .into_iter()
            .map(|range| {
                let from = self.starts[..queries].partition_point(|start| *start < range.start);
                let to = self.starts[..queries].partition_point(|start| *start < range.end);
                from..to
            })
            .collect();
        let values = each(cuts, |cut| {
            let mut items = Items::default();
            cut.filter(|query| self.starts[*query] < self.starts[query + 1])
                .map(|query| {
                    items.take(rankings, self, query);
                    value(&mut items)
                })
                .collect::<Vec<_>>()
        });
        values.into_iter().flatten().collect()
    }
}

/// One query's items, best score first.
#[derive(Default)]
struct Items {
    order: Vec<(u64, f64)>,
    keys: Vec<u64>,
    relevance: Vec<f64>,
    ideal: Vec<f64>,
}

impl Items {
    fn take(&mut self, rankings: Rankings<'_>, by_query: &ByQuery, query: usize) {
        let places = by_query.starts[query]..by_query.starts[query + 1];
        self.order.clear();
        self.order.extend(places.map(|place| {
            let row = by_query.rows.as_ref().map_or(place, |rows| rows[place] as usize);
            // The complement of the key sorts the highest score first.
            (!key(rankings.scores[row]), rankings.relevance[row])
        }));
        self.order.sort_unstable_by_key(|(key, _)| *key);
        self.keys.clear();
        self.relevance.clear();
        self.keys.extend(self.order.iter().map(|(key, _)| *key));
        self.relevance.extend(self.order.iter().map(|(_, relevance)| *relevance));
    }

    /// The gain of the best order there is.
    fn ideal_gain(&mut self, discounts: &[f64]) -> f64 {
        self.ideal.clear();
        self.ideal.extend_from_slice(&self.relevance);
        self.ideal.sort_unstable_by(|a, b| b.total_cmp(a));
        self.ideal.iter().zip(discounts).map(|(relevance, discount)| relevance * discount).sum()
    }
}

/// `ndcg_score(k=k)`, the mean over the queries; tied scores share the average of their places'
/// discounts (McSherry & Najork 2008), a query without a relevant item counts 0.
///
/// # Errors
/// For a negative relevance, and where no query has two items.
pub(super) fn ndcg(rankings: Rankings<'_>) -> Result<f64, MetricError> {
    if rankings.relevance.iter().any(|relevance| *relevance < 0.0) {
        return Err(MetricError::Domain("a relevance for ndcg must not be negative".into()));
    }
    let by_query = ByQuery::new(rankings);
    let longest = by_query.starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    if longest < 2 {
        return Err(MetricError::Undefined("ndcg needs a query with at least two items".into()));
    }
    let counted = rankings.k.map_or(longest, |k| k.min(longest));
    let discounts: Vec<f64> = (0..counted).map(|place| 1.0 / (place as f64 + 2.0).log2()).collect();
    let values = by_query.values(rankings, |items| {
        let best = items.ideal_gain(&discounts);
        if best == 0.0 { 0.0 } else { gain(items, &discounts) / best }
    });
    Ok(mean(&values))
}

fn gain(items: &Items, discounts: &[f64]) -> f64 {
    let (mut gain, mut start) = (0.0, 0);
    while start < items.keys.len().min(discounts.len()) {
        let end = tie_end(&items.keys, start);
        let discount: f64 = discounts[start..end.min(discounts.len())].iter().sum();
        let relevance: f64 = items.relevance[start..end].iter().sum();
        gain += relevance / (end - start) as f64 * discount;
        start = end;
    }
    gain
}

/// Mean average precision at `k`: per query `Σ precision(r) / min(k, relevant)` over the places
/// `r ≤ k` of relevant items (relevance above 0), and the mean of that over the queries. Tied items
/// all take the last place of their tie, so that nothing is won by predicting one value for all;
/// without `k` this is scikit-learn's `average_precision_score` of the query. A query without a
/// relevant item counts 0.
pub(super) fn map(rankings: Rankings<'_>) -> Result<f64, MetricError> {
    let values = ByQuery::new(rankings).values(rankings, |items| {
        let relevant = items.relevance.iter().filter(|relevance| **relevance > 0.0).count();
        let limit = rankings.k.unwrap_or(usize::MAX);
        let (mut hits, mut sum, mut start) = (0usize, 0.0, 0);
        while start < items.keys.len() {
            let end = tie_end(&items.keys, start);
            if end > limit {
                break;
            }
            let tied = items.relevance[start..end].iter().filter(|relevance| **relevance > 0.0).count();
            hits += tied;
            sum += tied as f64 * (hits as f64 / end as f64);
            start = end;
        }
        if relevant == 0 { 0.0 } else { sum / relevant.min(limit) as f64 }
    });
    Ok(mean(&values))
}

fn mean(values: &[f64]) -> f64 {
    sum(values.iter().copied()) / values.len() as f64
}
