//! What is read for each construct of SQL, and that the rows are those of the plan that was not pruned.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::json::ReaderBuilder;
use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use super::{Narrow, PruneLeaves};
use crate::session::RootSession;

/// The leaves that scans asked for, by table.
type Log = Arc<Mutex<BTreeSet<String>>>;

/// A table that keeps account of what is read, and gives no more.
#[derive(Debug, Clone)]
struct Recording {
    name: &'static str,
    schema: SchemaRef,
    rows: RecordBatch,
    log: Log,
}

impl Narrow for Recording {
    fn narrowed(&self, schema: SchemaRef) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(Self { schema, ..self.clone() }))
    }
}

#[async_trait]
impl TableProvider for Recording {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let read = match projection {
            Some(columns) => self.schema.project(columns)?,
            None => self.schema.as_ref().clone(),
        };
        let mut log = self.log.lock();
        read.fields().iter().for_each(|f| log.extend(leaves(self.name, f)));
        let columns = self.schema.fields().iter().zip(self.rows.columns()).map(|(f, c)| without_others(c, f));
        let rows = RecordBatch::try_new(self.schema.clone(), columns.collect())?;
        let halves = [rows.slice(0, 2), rows.slice(2, rows.num_rows() - 2)].map(|half| vec![half]);
        Ok(MemorySourceConfig::try_new_exec(&halves, self.schema.clone(), projection.cloned())?)
    }
}

/// The leaves of a column by their paths; a struct without fields is one, marked by `{}`.
fn leaves(prefix: &str, field: &Field) -> Vec<String> {
    let path = if prefix.is_empty() { field.name().clone() } else { format!("{prefix}.{}", field.name()) };
    let inner = match field.data_type() {
        DataType::List(element) => element.data_type(),
        other => other,
    };
    match inner {
        DataType::Struct(fields) if fields.is_empty() => vec![format!("{path}.{{}}")],
        DataType::Struct(fields) => fields.iter().flat_map(|f| leaves(&path, f)).collect(),
        _ => vec![path],
    }
}

/// The array with the fields of a narrower type only.
fn without_others(array: &ArrayRef, field: &Field) -> ArrayRef {
    match field.data_type() {
        DataType::List(element) => {
            let list = array.as_list::<i32>();
            let values = without_others(list.values(), element);
            Arc::new(ListArray::new(element.clone(), list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) => {
            let own = array.as_struct();
            let columns = fields.iter().map(|f| without_others(own.column_by_name(f.name()).unwrap(), f)).collect();
            let nulls = own.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, own.len()).unwrap())
        }
        _ => array.clone(),
    }
}

fn field(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}

fn structs(name: &str, fields: &[FieldRef]) -> FieldRef {
    field(name, DataType::Struct(fields.into()))
}

fn lists(name: &str, fields: &[FieldRef]) -> FieldRef {
    field(name, DataType::List(structs("item", fields)))
}

fn schema() -> SchemaRef {
    let float = |name: &str| field(name, DataType::Float32);
    let base = structs("base", &[float("pt"), float("eta")]);
    let hits = field("hits", DataType::List(field("item", DataType::Int32)));
    Arc::new(Schema::new(vec![
        field("run", DataType::Int32),
        lists("muons", &[base, field("kind", DataType::Int32), hits]),
        lists("jets", &[float("pt"), float("mass")]),
        structs("product", &[lists("obj", &[float("pt"), float("eta")]), field("present", DataType::Boolean)]),
    ]))
}

const ROWS: &str = r#"
{"run": 1, "muons": [{"base": {"pt": 30, "eta": 1}, "kind": 1, "hits": [1, 2]}, {"base": {"pt": 10, "eta": 2}, "kind": 2}],
 "jets": [{"pt": 50, "mass": 5}, {"pt": 20, "mass": 2}], "product": {"present": true, "obj": [{"pt": 7, "eta": 0.5}]}}
{"run": 2, "muons": [], "jets": [{"pt": 5, "mass": 1}], "product": {"present": true, "obj": []}}
{"run": 3, "jets": [], "product": {"present": false}}
{"run": 4, "muons": [{"base": {"pt": 25, "eta": -1}, "kind": 2, "hits": []}], "jets": [{"pt": 26}, {"mass": 3}]}
"#;

fn as_narrow(table: &dyn TableProvider) -> Option<&dyn Narrow> {
    (table as &dyn Any).downcast_ref::<Recording>().map(|t| t as &dyn Narrow)
}

fn session(log: &Log, is_pruned: bool) -> RootSession {
    let session = RootSession::builder().threads(2).build();
    let mut reader = ReaderBuilder::new(schema()).build(ROWS.as_bytes()).unwrap();
    let rows = reader.next().unwrap().unwrap();
    for name in ["t", "u"] {
        let table = Recording {
            name: if name == "t" { "" } else { name },
            schema: schema(),
            rows: rows.clone(),
            log: log.clone(),
        };
        session.context().register_table(name, Arc::new(table)).unwrap();
    }
    if is_pruned {
        session.context().add_optimizer_rule(Arc::new(PruneLeaves::new(as_narrow)));
    }
    session
}

async fn rows(session: &RootSession, sql: &str) -> Vec<String> {
    let batches = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await;
    let table = pretty_format_batches(&batches.unwrap_or_else(|e| panic!("{sql}: {e}"))).unwrap().to_string();
    let mut lines: Vec<String> = table.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// Runs a query that reads exactly these leaves, apart by spaces, and has the rows of the plan that is not pruned.
async fn reads(sql: &str, expected: &str) {
    let log = Log::default();
    let pruned = rows(&session(&log, true), sql).await;
    let read = std::mem::take(&mut *log.lock());
    let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_string).collect();
    assert_eq!(read, expected, "{sql}");
    assert_eq!(pruned, rows(&session(&log, false), sql).await, "{sql}");
}

macro_rules! reads {
    ($($name:ident: $($sql:literal => $leaves:literal),+;)*) => {
        $(#[tokio::test]
        async fn $name() {
            $(reads($sql, $leaves).await;)+
        })*
    };
}

const ALL_MUONS: &str = "muons.base.eta muons.base.pt muons.hits muons.kind";

#[tokio::test]
async fn whole_columns_are_read_whole() {
    for sql in [
        "SELECT muons FROM t",
        "SELECT DISTINCT muons FROM t",
        "SELECT muons, count(*) FROM t GROUP BY muons",
        "SELECT array_agg(muons ORDER BY run) FROM t",
        "SELECT muons = [] FROM t",
        "SELECT arrow_typeof(muons) FROM t",
        "SELECT muons[1] FROM t",
        "SELECT array_filter(muons, m -> m.kind = 2) FROM t",
        "SELECT count(DISTINCT muons) FROM t",
        "SELECT array_sort(muons)[1].kind AS k FROM t",
    ] {
        reads(sql, &format!("{ALL_MUONS}{}", if sql.contains("run") { " run" } else { "" })).await;
    }
}

reads! {
    elements_are_read_as_far_as_their_fields_are_asked_for:
        "SELECT muons[1].kind FROM t" => "muons.kind",
        "SELECT muons[1].base.pt FROM t" => "muons.base.pt",
        "SELECT muons[1].base FROM t" => "muons.base.pt muons.base.eta",
        "SELECT muons[-1]['base']['eta'] + muons[1].kind FROM t" => "muons.base.eta muons.kind",
        "SELECT muons[1].hits[2] FROM t" => "muons.hits",
        "SELECT muons[1:2][1].kind FROM t" => "muons.kind",
        "SELECT array_reverse(array_pop_front(muons))[1].kind AS k FROM t" => "muons.kind",
        "SELECT get_field(array_element(muons, run), 'base', 'pt') FROM t" => "muons.base.pt run";

    expressions_that_several_columns_share_are_pruned:
        "SELECT array_filter(muons, m -> m.kind = 2)[1].base.pt AS pt, array_filter(muons, m -> m.kind = 2)[1].base.eta AS eta FROM t"
            => "muons.base.eta muons.base.pt muons.kind",
        "SELECT sqrt(jets[1].pt * jets[2].pt) AS m, jets[1].pt + jets[2].pt AS s FROM t WHERE jets[1].pt > 5" => "jets.pt";

    elements_without_members_still_are_elements:
        "SELECT muons[2] IS NULL FROM t" => "muons.{}",
        "SELECT cardinality(muons[1:1]), cardinality(array_reverse(muons)) FROM t" => "muons.{}",
        "SELECT cardinality(m) FROM (SELECT muons AS m, run FROM t ORDER BY run DESC LIMIT 3)" => "muons.{} run",
        "SELECT cardinality(t.muons), cardinality(u.jets) FROM t JOIN u ON t.run = u.run + 1"
            => "muons.{} run u.jets.{} u.run",
        "SELECT cardinality(array_concat(jets, jets)) FROM t" => "jets.{}",
        "SELECT array_count(muons, m -> run > 1) FROM t" => "muons.{} run",
        "SELECT array_count(muons, m -> m IS NOT NULL) FROM t" => "muons.{}",
        "SELECT count(m) FROM (SELECT unnest(muons) AS m, unnest(jets) AS j FROM t)" => "jets.{} muons.{}",
        "SELECT cardinality(m) FROM (SELECT muons AS m FROM t UNION ALL SELECT muons FROM u) ORDER BY 1"
            => "muons.{} u.muons.{}";

    structs_are_read_by_field:
        "SELECT product.present FROM t" => "product.present",
        "SELECT product.obj[1].pt FROM t" => "product.obj.pt",
        "SELECT product['obj'][1]['pt'] AS pt FROM t WHERE product.present" => "product.obj.pt product.present",
        "SELECT t.product.obj[1].pt FROM t" => "product.obj.pt";

    lengths_and_presence_need_no_members:
        "SELECT cardinality(muons) FROM t" => "muons.{}",
        "SELECT array_length(muons), empty(muons), muons IS NULL FROM t" => "muons.{}",
        "SELECT count(muons) FROM t" => "muons.{}",
        "SELECT run FROM t WHERE array_length(muons) > 1" => "muons.{} run",
        "SELECT run FROM t WHERE array_length(muons) >= 0 ORDER BY cardinality(muons) DESC, run" => "muons.{} run",
        "SELECT product IS NULL FROM t" => "product.present",
        "SELECT cardinality(product.obj) FROM t" => "product.obj.{}",
        "SELECT array_length(array_filter(muons, m -> true)) FROM t" => "muons.{}";

    filters_of_lists_read_what_the_condition_and_the_result_touch:
        "SELECT cardinality(array_filter(muons, m -> m.base.pt > 20)) FROM t" => "muons.base.pt",
        "SELECT array_filter(muons, m -> m.base.pt > 20)[1].kind FROM t" => "muons.base.pt muons.kind",
        "SELECT array_count(muons, m -> m['kind'] = 2) FROM t" => "muons.kind",
        "SELECT array_any_match(muons, m -> m.kind = 2) FROM t" => "muons.kind",
        "SELECT array_first(muons, m -> m.kind = 2).base.eta FROM t" => "muons.base.eta muons.kind",
        "SELECT run FROM t WHERE array_any_match(product.obj, o -> o.pt > 1)" => "product.obj.pt run";

    transformed_lists_read_what_becomes_of_the_elements:
        "SELECT array_transform(muons, m -> m.base.pt * 2) FROM t" => "muons.base.pt",
        "SELECT array_transform(muons, m -> m.base)[1].pt FROM t" => "muons.base.pt",
        "SELECT cardinality(array_transform(muons, m -> m.base)) FROM t" => "muons.base.pt",
        "SELECT array_transform(muons, m -> named_struct('a', m.base, 'b', m))[1]['a']['pt'] AS a FROM t" => "muons.base.pt",
        "SELECT array_transform(array_filter(muons, m -> m.kind = 1), m -> m.base.eta) FROM t" => "muons.base.eta muons.kind";

    lambdas_capture_columns_and_parameters_around_them:
        "SELECT array_count(muons, m -> m.kind = run) FROM t" => "muons.kind run",
        "SELECT array_count(muons, m -> m.base.pt > jets[1].pt) FROM t" => "jets.pt muons.base.pt",
        "SELECT array_count(muons, m -> array_any_match(jets, j -> j.pt > m.base.pt)) FROM t" => "jets.pt muons.base.pt",
        "SELECT array_count(muons, m -> array_any_match(jets, m -> m.mass > 4)) FROM t" => "jets.mass muons.{}",
        "SELECT array_transform(muons, m -> cardinality(array_filter(m.hits, h -> h > m.kind))) FROM t" => "muons.hits muons.kind";

    unnested_lists_read_what_is_made_of_the_rows:
        "SELECT unnest(muons).kind AS k FROM t" => "muons.kind",
        "SELECT m.base.pt FROM (SELECT unnest(muons) AS m, run FROM t) WHERE m.kind = 2" => "muons.base.pt muons.kind",
        "SELECT run, count(*) FROM (SELECT run, unnest(muons) AS m FROM t) GROUP BY run" => "muons.{} run",
        "SELECT m.kind, j.pt FROM (SELECT unnest(muons) AS m, unnest(jets) AS j FROM t)" => "jets.pt muons.kind";

    an_unnested_struct_is_read_whole:
        "SELECT unnest(product) FROM t" => "product.obj.eta product.obj.pt product.present",
        "SELECT unnest(unnest(jets)) FROM t" => "jets.mass jets.pt";

    aggregates_read_what_their_arguments_touch:
        "SELECT sum(muons[1].base.pt) FROM t" => "muons.base.pt",
        "SELECT muons[1].kind AS k, max(jets[1].mass) FROM t GROUP BY muons[1].kind" => "jets.mass muons.kind",
        "SELECT count(muons) FILTER (WHERE jets[1].pt > 6) FROM t" => "jets.pt muons.{}",
        "SELECT first_value(run ORDER BY muons[1].kind, run) FROM t" => "muons.kind run";

    columns_pass_through_the_nodes_between:
        "SELECT s.m[1].kind FROM (SELECT muons AS m, run FROM t ORDER BY run LIMIT 3) AS s WHERE s.run > 0" => "muons.kind run",
        "WITH good AS (SELECT array_filter(muons, m -> m.base.pt > 20) AS m FROM t) SELECT m[1].kind FROM good WHERE cardinality(m) = 1"
            => "muons.base.pt muons.kind",
        "SELECT muons[1].kind, row_number() OVER (ORDER BY jets[1].pt, run) FROM t" => "jets.pt muons.kind run",
        "SELECT DISTINCT muons[1].kind FROM t" => "muons.kind",
        "SELECT run, max(array_count(muons, m -> m.kind = 2)) OVER (PARTITION BY cardinality(jets)) AS n FROM t"
            => "jets.{} muons.kind run",
        "SELECT DISTINCT ON (run) muons[1].kind FROM t ORDER BY run" => "muons.kind run";

    joins_read_their_keys_and_what_comes_of_either_side:
        "SELECT t.muons[1].kind, u.jets[1].pt FROM t JOIN u ON t.run = u.run" => "muons.kind run u.jets.pt u.run",
        "SELECT t.run FROM t JOIN u ON t.muons[1].kind = u.run AND t.jets[1].pt > u.jets[1].mass"
            => "jets.pt muons.kind run u.jets.mass u.run",
        "SELECT run, jets[1].pt FROM t WHERE run IN (SELECT muons[1].kind FROM u)" => "jets.pt run u.muons.kind",
        "SELECT run FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.muons[1].kind = t.run)" => "run u.muons.kind",
        "SELECT a.muons[1].kind, b.jets[1].pt FROM t AS a JOIN t AS b ON a.run = b.run" => "jets.pt muons.kind run",
        "SELECT t.run FROM t FULL JOIN u ON array_count(t.muons, m -> m.kind = 2) = array_count(u.jets, j -> j.pt > 6)"
            => "muons.kind run u.jets.pt",
        "SELECT t.run FROM t JOIN u ON t.run = u.run AND array_any_match(t.muons, m -> m.base.pt > u.jets[1].pt)"
            => "muons.base.pt run u.jets.pt u.run",
        "SELECT t.muons[1].kind FROM t LEFT JOIN u ON t.run = u.run + 2" => "muons.kind run u.run";

    subqueries_are_pruned_too:
        "SELECT run FROM t WHERE run < (SELECT max(muons[1].kind) FROM u)" => "run u.muons.kind";

    inputs_of_a_union_read_what_is_touched_of_it:
        "SELECT m[1].kind FROM (SELECT muons AS m FROM t UNION ALL SELECT muons FROM u)" => "muons.kind u.muons.kind",
        "SELECT array_count(m, x -> x.base.pt > 20) AS n FROM (SELECT muons AS m FROM t UNION ALL SELECT muons FROM u)"
            => "muons.base.pt u.muons.base.pt";

    inputs_of_a_union_stay_whole_where_they_would_differ:
        "SELECT m[1].kind FROM (SELECT muons AS m FROM t WHERE muons[1].base.pt > 1 UNION ALL SELECT muons FROM u)"
            => "muons.base.pt muons.base.eta muons.hits muons.kind u.muons.base.pt u.muons.base.eta u.muons.hits u.muons.kind";

    branches_read_what_is_touched_of_the_result:
        "SELECT (CASE WHEN run = 1 THEN jets ELSE array_reverse(jets) END)[1]['mass'] AS m FROM t" => "jets.mass run",
        "SELECT array_concat(jets, jets)[3].mass FROM t" => "jets.mass",
        "SELECT (CASE WHEN run = 1 THEN jets END)[1].mass AS m FROM t" => "jets.mass run",
        "SELECT coalesce(jets, array_reverse(jets))[1].mass FROM t" => "jets.mass";

    branches_stay_whole_where_they_would_differ:
        "SELECT t.run FROM t JOIN u ON t.run = u.run WHERE coalesce(t.jets, u.jets)[1].mass > 1 AND t.jets[1].pt > 1"
            => "jets.mass jets.pt run u.jets.mass u.jets.pt u.run";

    branches_of_what_is_put_out_are_made_alike:
        "SELECT coalesce(t.jets, u.jets)[1].mass AS m, t.jets[1].pt FROM t JOIN u ON t.run = u.run"
            => "jets.mass jets.pt run u.jets.mass u.run";

    stars_need_what_is_left_of_them:
        "SELECT * FROM (SELECT muons[1].base.pt AS pt, run FROM t)" => "muons.base.pt run",
        "SELECT kind FROM (SELECT *, muons[1].kind AS kind FROM t)" => "muons.kind",
        "SELECT count(*) FROM (SELECT * FROM t)" => "";

    plain_columns_are_read_as_they_are:
        "SELECT run FROM t" => "run";
}

#[tokio::test]
async fn tables_and_views_made_from_queries_are_pruned() {
    let log = Log::default();
    let session = session(&log, true);
    rows(&session, "CREATE TABLE made AS SELECT muons[1].kind AS kind FROM t").await;
    assert_eq!(log.lock().iter().collect::<Vec<_>>(), ["muons.kind"]);

    rows(&session, "CREATE VIEW seen AS SELECT * FROM t").await;
    log.lock().clear();
    rows(&session, "SELECT array_count(jets, j -> j.pt > 10) FROM seen").await;
    assert_eq!(log.lock().iter().collect::<Vec<_>>(), ["jets.pt"]);
}

#[tokio::test]
async fn pruning_twice_changes_nothing_more() {
    let log = Log::default();
    let session = session(&log, true);
    let sql = "SELECT array_filter(muons, m -> m.base.pt > 20)[1].kind FROM t WHERE cardinality(jets) > 0";
    let once = session.context().state().optimize(session.sql(sql).await.unwrap().logical_plan()).unwrap();

    let twice = session.context().state().optimize(&once).unwrap();

    assert_eq!(once, twice);
    assert_eq!(once.schema(), twice.schema());
}

/// The plan of a query, as the session makes it.
async fn planned(sql: &str) -> String {
    let session = session(&Log::default(), true);
    let plan = session.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    plan.display_indent().to_string()
}

#[tokio::test]
async fn what_is_computed_loses_the_members_that_nobody_looks_at() {
    const GOOD: &str = "WITH z AS (SELECT run, named_zip('pt', [1.0, 2.0], 'mass', [run, run]) AS l FROM t),
        good AS (SELECT array_filter(l, x -> x.mass > 1) AS g, l FROM z)";

    let plan = planned(&format!("{GOOD} SELECT g[1].pt, cardinality(g), l[1].mass FROM good")).await;
    assert!(plan.contains(r#"members_of(array_filter(z.l, "#), "{plan}");

    let plan = planned(&format!("{GOOD} SELECT g, cardinality(g), l FROM good")).await;
    assert!(!plan.contains("members_of"), "{plan}");
}

#[tokio::test]
async fn the_nearest_mass_is_asked_for_no_more_than_is_looked_at() {
    const PAIRS: &str = "WITH z AS (SELECT run, p4([1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [run, run]) AS l FROM t)";

    let indices = format!("{PAIRS} SELECT l, nearest_mass(l, 2, 1.0, (a, b) -> a.mass = b.mass).indices AS i FROM z");
    let plan = planned(&indices).await;
    assert!(
        plan.contains(r#"nearest_mass/indices(z.l, Int64(2), Float64(1), members_of(z.l, Utf8("mass")), "#),
        "{plan}"
    );

    let particles = format!("{PAIRS} SELECT p['0'].pt, p['1'].pt FROM (SELECT nearest_mass(l, 2, 1.0) AS p FROM z)");
    assert!(planned(&particles).await.contains("nearest_mass/particles("));

    let all = format!("{PAIRS} SELECT p['0'].pt, p.mass FROM (SELECT nearest_mass(l, 2, 1.0) AS p FROM z)");
    assert!(planned(&all).await.contains("nearest_mass("));
}
