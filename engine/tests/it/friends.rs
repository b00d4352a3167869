//! Friends over files that others wrote, and what they cost. Files that are not part of the project are used where they are
//! at hand; without them the tests say so and pass.

use root_engine::{ErrorKind, RootSession, TableOptions};

use crate::support::{Ran, count, data, floats, project, rows};

fn with_friends(tree: &str, friends: &str) -> TableOptions {
    let mut options = TableOptions { tree: Some(tree.into()), ..TableOptions::default() };
    options.set("friends", friends).unwrap();
    options
}

fn corpus(file: &str) -> Option<String> {
    let path = project(".").join("../shared/corpus/files").join(file);
    if !path.is_file() {
        eprintln!("\n*** {} is absent: friends were not read from it ***\n", path.display());
        return None;
    }
    Some(path.display().to_string())
}

#[tokio::test]
async fn two_trees_of_a_file_are_read_side_by_side() {
    let name = "roottest__python__distrdf__data__ttree__distrdf_roottest_check_friend_trees_7584.root";
    let Some(file) = corpus(name) else { return };
    let session = RootSession::builder().threads(1).build();
    let friends = format!("{file}:randomNumbersBis AS b");
    session.register("t", std::slice::from_ref(&file), &with_friends("randomNumbers", &friends)).await.unwrap();
    let both = rows(&session, r#"SELECT rnd, "b.rnd" FROM t"#).await;
    let mut alone = Vec::new();
    for tree in ["randomNumbers", "randomNumbersBis"] {
        alone.push(floats(&rows(&session, &format!("SELECT rnd FROM '{file}:{tree}'")).await, 0));
    }
    assert_eq!(alone[0].len(), 10_000);
    assert_eq!([floats(&both, 0), floats(&both, 1)], alone[..]);
    // A condition on the friend keeps the rows that it keeps when the trees are put together by hand.
    let kept = rows(&session, r#"SELECT rnd FROM t WHERE "b.rnd" > 20 AND rnd < 10"#).await;
    let by_hand = alone[0].iter().zip(&alone[1]).filter(|(a, b)| **b > 20.0 && **a < 10.0).map(|(a, _)| *a);
    assert_eq!(floats(&kept, 0), by_hand.collect::<Vec<_>>());
}

#[tokio::test]
async fn an_index_of_two_columns_is_a_join_by_both() {
    let Some(file) = corpus("unroot__ttreeindex.root") else { return };
    let session = RootSession::new();
    let options = with_friends("t", &format!("{file} AS f ON major, minor"));
    session.register("t", std::slice::from_ref(&file), &options).await.unwrap();
    assert_eq!(count(&session, r#"SELECT count(*) FROM t WHERE val = "f.val""#).await, 6);
    // The first of the columns alone is 3, 1, 2, 1, 3, 2.
    let options = with_friends("t", &format!("{file} AS f ON major"));
    let error = session.register("u", std::slice::from_ref(&file), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let text = error.to_string();
    assert!(
        [("1", "1", "3"), ("2", "2", "5"), ("3", "0", "4")].iter().any(|(key, first, second)| {
            text.contains(&format!("major = {key}: entry {first} of")) && text.contains(&format!("entry {second} of"))
        }),
        "{text}"
    );
}

#[tokio::test]
async fn files_in_another_order_than_those_of_a_friend_are_warned_of() {
    let friends = with_friends("Events", &data("friends/scores_201[12].root"));
    let files = [data("runs/2011.root"), data("runs/2012.root")];
    let session = RootSession::new();
    let warns = || session.ledger().warnings().iter().any(|w| w.contains("not in the order of their names"));
    session.register("t", &files, &friends).await.unwrap();
    assert!(!warns());
    let [first, second] = files;
    session.register("u", &[second, first], &friends).await.unwrap();
    assert!(warns(), "{:?}", session.ledger().warnings());
}

#[tokio::test]
async fn a_friend_costs_nothing_where_its_columns_are_not_used() {
    let session = RootSession::builder().threads(1).build();
    let files = [data("runs/2011.root")];
    session.register("alone", &files, &with_friends("Events", &data("friends/scores_2011.root"))).await.unwrap();
    session.register("plain", &files, &TableOptions::default()).await.unwrap();
    let bytes = async |table: &str, sql: &str| {
        let ran = Ran::of(&session, &sql.replace("{t}", table)).await;
        ran.counter("bytes_read")
    };
    let sql = "SELECT sum(event) FROM {t} WHERE nMuon > 1";
    assert_eq!(bytes("alone", sql).await, bytes("plain", sql).await);
    assert!(bytes("alone", r#"SELECT sum(event) FROM {t} WHERE "Scores.score" > 1"#).await > 0);
    // No row passes the condition on the friend, so that nothing else is read.
    let none = bytes("alone", r#"SELECT sum(event), count("Muon_pt") FROM {t} WHERE "Scores.score" < 0"#).await;
    assert_eq!(none, bytes("alone", r#"SELECT count("Scores.score") FROM {t}"#).await);
}
