//! What is filled: the histograms that are asked for, and each again for every variation, all by one statement.

use root_engine::Replacements;

use super::spec::Spec;
use crate::args::HistArgs;
use crate::exit::Failure;
use crate::run::sql::TABLE;

/// A variation by its name: other columns, another weight, or both.
pub struct Variation {
    name: String,
    columns: Option<Replacements>,
    weight: Option<String>,
}

impl Variation {
    /// Those of the command line, in the order in which their names first appear.
    pub fn of(args: &HistArgs) -> Result<Vec<Self>, Failure> {
        let mut variations: Vec<Self> = Vec::new();
        for pair in args.vary.chunks_exact(2) {
            let [name, text] = pair else { continue };
            let columns = Replacements::parse(text)?;
            let variation = Self::named(&mut variations, name)?;
            variation.columns = Some(match variation.columns.take() {
                Some(known) => known.and(columns)?,
                None => columns,
            });
        }
        for pair in args.vary_weight.chunks_exact(2) {
            let [name, text] = pair else { continue };
            let variation = Self::named(&mut variations, name)?;
            if variation.weight.replace(text.clone()).is_some() {
                return Err(Failure::usage(format!("--vary-weight {name}: the variation has a weight already")));
            }
        }
        Ok(variations)
    }

    fn named<'a>(all: &'a mut Vec<Self>, name: &str) -> Result<&'a mut Self, Failure> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            let problem = "the name of a variation is made of letters, digits and _, such as jesUp";
            return Err(Failure::usage(format!("--vary '{name}': {problem}")));
        }
        let at = match all.iter().position(|known| known.name == name) {
            Some(at) => at,
            None => {
                all.push(Self { name: name.to_owned(), columns: None, weight: None });
                all.len() - 1
            }
        };
        all.get_mut(at).ok_or_else(|| Failure::usage("no variation"))
    }

    /// An expression as this variation has it, and whether that is another.
    fn apply(&self, sql: &str) -> Result<(String, bool), Failure> {
        match &self.columns {
            Some(columns) => Ok(columns.apply(sql)?),
            None => Ok((sql.to_owned(), false)),
        }
    }
}

/// A histogram to fill.
pub struct Fill {
    /// Its name, SQL and bins.
    pub spec: Spec,
    /// What its axes are called.
    pub labels: Vec<String>,
    /// The weight of events.
    pub weight: Option<String>,
    /// Which events are filled.
    pub condition: Option<String>,
}

/// Each histogram, and behind it its variations as `NAME__VARIATION`. A variation holds for conditions and weights too.
pub fn fills(
    specs: &[Spec],
    weight: Option<&str>,
    condition: Option<&str>,
    variations: &[Variation],
) -> Result<Vec<Fill>, Failure> {
    let mut used = vec![false; variations.len()];
    let mut fills = Vec::new();
    for spec in specs {
        fills.push(Fill {
            spec: spec.clone(),
            labels: spec.columns.clone(),
            weight: weight.map(str::to_owned),
            condition: condition.map(str::to_owned),
        });
        for (variation, used) in variations.iter().zip(&mut used) {
            let mut varied = |sql: &str| -> Result<String, Failure> {
                let (sql, is_other) = variation.apply(sql)?;
                *used |= is_other;
                Ok(sql)
            };
            let columns = spec.columns.iter().map(|sql| varied(sql)).collect::<Result<_, _>>()?;
            let condition = condition.map(&mut varied).transpose()?;
            let weight = match &variation.weight {
                Some(other) => Some(varied(other)?),
                None => weight.map(&mut varied).transpose()?,
            };
            *used |= variation.weight.is_some();
            let name = format!("{}__{}", spec.name, variation.name);
            fills.push(Fill { spec: spec.with(name, columns), labels: spec.columns.clone(), weight, condition });
        }
    }
    if let Some((idle, _)) = variations.iter().zip(&used).find(|(_, used)| !**used) {
        let problem = "changes nothing: neither a histogram, --where nor --weight names the columns that it replaces";
        return Err(Failure::usage(format!("the variation '{}' {problem}", idle.name)));
    }
    Ok(fills)
}

/// One statement for all histograms, which are read together.
pub fn query(fills: &[Fill]) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for condition in fills.iter().filter_map(|fill| fill.condition.as_deref()) {
        if !distinct.contains(&condition) {
            distinct.push(condition);
        }
    }
    let aggregate = |(n, fill): (usize, &Fill)| {
        let filter = match &fill.condition {
            // Where all are filled by the same events, the scan can leave out the others.
            Some(condition) if distinct.len() > 1 => format!(" FILTER (WHERE {condition}\n)"),
            _ => String::new(),
        };
        format!("{}{filter} AS h{n}", fill.spec.sql(fill.weight.as_deref()))
    };
    let aggregates: Vec<String> = fills.iter().enumerate().map(aggregate).collect();
    // What no condition takes is left out by the scan in any case.
    let any: Vec<String> = distinct.iter().map(|condition| format!("({condition}\n)")).collect();
    let condition = if any.is_empty() { String::new() } else { format!(" WHERE {}", any.join(" OR ")) };
    format!("SELECT {} FROM {TABLE}{condition}", aggregates.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        vary: &[&str],
        vary_weight: &[&str],
        weight: Option<&str>,
        condition: Option<&str>,
    ) -> Result<String, Failure> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let args = HistArgs {
            words: Vec::new(),
            tree: None,
            condition: None,
            weight: None,
            vary: words(vary),
            vary_weight: words(vary_weight),
            plot: None,
            log: false,
        };
        let specs = [Spec::parse("x[2,0,1]").unwrap()];
        Ok(query(&fills(&specs, weight, condition, &Variation::of(&args)?)?))
    }

    #[test]
    fn without_variations_the_condition_is_that_of_the_scan() {
        assert_eq!(
            asked(&[], &[], Some("w"), Some("x > 1")).unwrap(),
            "SELECT hist(x, 2.0, 0.0, 1.0, w) AS h0 FROM t WHERE (x > 1\n)"
        );
    }

    #[test]
    fn variations_hold_for_histograms_conditions_and_weights() {
        assert_eq!(
            asked(&["up", "x = x * 2"], &[], Some("w"), Some("y > 1")).unwrap(),
            "SELECT hist(x, 2.0, 0.0, 1.0, w) AS h0, hist((x * 2), 2.0, 0.0, 1.0, w) AS h1 FROM t WHERE (y > 1\n)"
        );
        assert_eq!(
            asked(&["up", "y = y + 1"], &["up", "w * y"], None, Some("y > 1")).unwrap(),
            "SELECT hist(x, 2.0, 0.0, 1.0) FILTER (WHERE y > 1\n) AS h0, \
             hist(x, 2.0, 0.0, 1.0, w * (y + 1)) FILTER (WHERE (y + 1) > 1\n) AS h1 \
             FROM t WHERE (y > 1\n) OR ((y + 1) > 1\n)"
        );
    }

    #[test]
    fn a_variation_that_changes_nothing_is_a_mistake() {
        for (vary, vary_weight, words) in [
            (&["up", "z = 1"][..], &[][..], "'up' changes nothing"),
            (&["a b", "x = 1"], &[], "letters, digits"),
            (&["up", "x = 1", "up", "x = 2"], &[], "twice"),
            (&[], &["up", "1", "up", "2"], "a weight already"),
        ] {
            let error = asked(vary, vary_weight, None, None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
