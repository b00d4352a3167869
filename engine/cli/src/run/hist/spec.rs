//! A histogram as it is written on the command line: SQL, and the bins in brackets behind it.

use crate::exit::Failure;

const FORMS: &str = "write 'SQL[BINS,LOW,HIGH]', such as 'Muon_pt[100,0,200]'; 'X,Y[NX,XLOW,XHIGH,NY,YLOW,YHIGH]'; \
                     'SQL[log,BINS,LOW,HIGH]'; 'SQL[edges,E,E,…]'; 'X,Y[profile,BINS,LOW,HIGH]' for the mean of Y; or \
                     'SQL[]' with a bin for each value";

/// A histogram that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// How it is called in outputs.
    pub name: String,
    /// SQL for each axis.
    pub columns: Vec<String>,
    bins: Bins,
}

#[derive(Debug, Clone, PartialEq)]
enum Bins {
    /// Three numbers for each axis.
    Regular(Vec<f64>),
    Log(Vec<f64>),
    Edges(Vec<f64>),
    /// Of the mean of the second column.
    Profile(Vec<f64>),
    Category,
}

impl Spec {
    /// Whether a word of the command line is meant to be a histogram: it ends in `]`, perhaps with a name behind.
    pub fn is_meant(word: &str) -> bool {
        split_name(word).0.ends_with(']')
    }

    /// Reads a histogram.
    pub fn parse(word: &str) -> Result<Self, Failure> {
        let bad = |problem: &str| Failure::usage(format!("the histogram '{word}' {problem}; {FORMS}"));
        let (text, name) = split_name(word);
        let opened = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        let Some((expressions, bins)) = opened else { return Err(bad("has no bins in brackets at its end")) };
        let columns = split_columns(expressions);
        if columns.iter().any(String::is_empty) {
            return Err(bad("has no SQL before its bins"));
        }
        for column in &columns {
            root_engine::check_expression(column).map_err(|problem| bad(&format!("is not of one value: {problem}")))?;
        }
        let words: Vec<&str> = bins.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let numbers = |words: &[&str]| -> Result<Vec<f64>, Failure> {
            let number = |word: &&str| word.parse().ok().filter(|number: &f64| number.is_finite());
            let read = |word: &&str| number(word).ok_or_else(|| bad(&format!("has '{word}' where a number belongs")));
            words.iter().map(read).collect()
        };
        let bins = match (columns.len(), words.as_slice()) {
            (1, []) => Bins::Category,
            (1, ["log", rest @ ..]) if rest.len() == 3 => Bins::Log(numbers(rest)?),
            (2, ["profile", rest @ ..]) if rest.len() == 3 => Bins::Profile(numbers(rest)?),
            (_, ["profile", ..]) => return Err(bad("is no profile")),
            (1, ["edges", rest @ ..]) if rest.len() >= 2 => Bins::Edges(numbers(rest)?),
            (axes @ 1..=3, words) if words.len() == 3 * axes => Bins::Regular(numbers(words)?),
            (axes @ 1..=3, words) => {
                let problem =
                    format!("has {axes} axes, and {} words for their bins in place of {}", words.len(), 3 * axes);
                return Err(bad(&problem));
            }
            (axes, _) => return Err(bad(&format!("has {axes} axes, and three are the most"))),
        };
        let name = name.map_or_else(|| expressions.trim().to_owned(), str::to_owned);
        Ok(Self { name, columns, bins })
    }

    /// The same bins for other columns.
    pub fn with(&self, name: String, columns: Vec<String>) -> Self {
        Self { name, columns, bins: self.bins.clone() }
    }

    /// The aggregate that fills it.
    pub fn sql(&self, weight: Option<&str>) -> String {
        let (function, bins) = match (&self.bins, self.columns.len()) {
            (Bins::Regular(bins), 1) => ("hist", numbers(bins)),
            (Bins::Regular(bins), 2) => ("hist2d", numbers(bins)),
            (Bins::Regular(bins), _) => ("hist3d", numbers(bins)),
            (Bins::Log(bins), _) => ("hist_log", numbers(bins)),
            (Bins::Edges(edges), _) => ("hist_edges", vec![format!("[{}]", numbers(edges).join(", "))]),
            (Bins::Profile(bins), _) => ("profile", numbers(bins)),
            (Bins::Category, _) => ("hist_category", Vec::new()),
        };
        // A comment at the end of an expression ends with its line.
        let closed = |sql: &str| if sql.contains("--") { format!("{sql}\n") } else { sql.to_owned() };
        let columns = self.columns.iter().map(|sql| closed(sql));
        let arguments: Vec<String> = columns.chain(bins).chain(weight.map(closed)).collect();
        format!("{function}({})", arguments.join(", "))
    }
}

/// Numbers as SQL has them, all of one type.
fn numbers(numbers: &[f64]) -> Vec<String> {
    numbers.iter().map(|number| format!("{number:?}")).collect()
}

/// Takes ` AS name` from the end.
fn split_name(word: &str) -> (&str, Option<&str>) {
    let word = word.trim();
    if let Some((text, name)) = word.rsplit_once(']') {
        let name = name.trim();
        let is_named = name.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("as "));
        if is_named && let Some(end) = word.get(..=text.len()) {
            return (end, name.get(3..).map(str::trim));
        }
    }
    (word, None)
}

/// Splits at commas that are in no brackets and no quotes.
fn split_columns(text: &str) -> Vec<String> {
    let (mut depth, mut quote) = (0_i32, None);
    let mut columns = vec![String::new()];
    for letter in text.chars() {
        match (quote, letter) {
            (None, ',') if depth == 0 => {
                columns.push(String::new());
                continue;
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
        if let Some(column) = columns.last_mut() {
            column.push(letter);
        }
    }
    columns.into_iter().map(|column| column.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(word: &str) -> (String, String) {
        let spec = Spec::parse(word).unwrap();
        (spec.name.clone(), spec.sql(None))
    }

    fn pair(name: &str, sql: &str) -> (String, String) {
        (name.into(), sql.into())
    }

    #[test]
    fn histograms_become_aggregates() {
        assert_eq!(sql("Muon_pt[100,0,200]"), pair("Muon_pt", "hist(Muon_pt, 100.0, 0.0, 200.0)"));
        assert_eq!(sql("Muon_pt[1] [10, -1, 2.5] AS lead"), pair("lead", "hist(Muon_pt[1], 10.0, -1.0, 2.5)"));
        assert_eq!(sql("f(a, ',[')[edges,0,1,5]"), pair("f(a, ',[')", "hist_edges(f(a, ',['), [0.0, 1.0, 5.0])"));
        assert_eq!(sql("x,y[2,0,1,3,0,2]"), pair("x,y", "hist2d(x, y, 2.0, 0.0, 1.0, 3.0, 0.0, 2.0)"));
        assert_eq!(sql("x[log,2,1,10]"), pair("x", "hist_log(x, 2.0, 1.0, 10.0)"));
        assert_eq!(sql("x,y*2[profile,2,1,10]"), pair("x,y*2", "profile(x, y*2, 2.0, 1.0, 10.0)"));
        assert_eq!(Spec::parse("n[]").unwrap().sql(Some("w")), "hist_category(n, w)");
    }

    #[test]
    fn what_is_wrong_is_told_with_the_form() {
        for (word, problem) in [
            ("x[1,2]", "2 words for their bins in place of 3"),
            ("x[a,0,1]", "'a' where a number belongs"),
            ("x[10,0,inf]", "'inf' where"),
            ("[1,2,3]", "no SQL"),
            ("a,b,c,d[1,2,3]", "three are the most"),
            ("a[profile,1,2,3]", "is no profile"),
        ] {
            let error = Spec::parse(word).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("'Muon_pt[100,0,200]'"), "{error}");
        }
        assert!(!Spec::is_meant("run[12].root") && Spec::is_meant("x[1,2] AS y"));
    }
}
