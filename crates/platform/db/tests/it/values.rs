use platform_db::{ColumnKind, DbError, Value, args};
use platform_testkit::both_engines;

use crate::SHOP;

/// Column, its kind, and a value it must give back. NaN is absent: SQLite keeps it as NULL.
fn cases() -> Vec<(&'static str, ColumnKind, Value)> {
    use ColumnKind::{Bool, Bytes, Int, Real, Text};
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        ("flag", Bool, Value::Bool(true)),
        ("flag", Bool, Value::Bool(false)),
        ("flag", Bool, Value::Null),
        ("whole", Int, Value::Int(0)),
        ("whole", Int, Value::Int(-1)),
        ("whole", Int, Value::Int(i64::MAX)),
        ("whole", Int, Value::Int(i64::MIN)),
        ("whole", Int, Value::Null),
        ("fraction", Real, Value::Real(0.1)),
        ("fraction", Real, Value::Real(3.0)),
        ("fraction", Real, Value::Real(9_007_199_254_740_992.0)),
        ("fraction", Real, Value::Real(f64::MAX)),
        ("fraction", Real, Value::Real(f64::MIN)),
        ("fraction", Real, Value::Real(f64::MIN_POSITIVE)),
        ("fraction", Real, Value::Real(5e-324)),
        ("fraction", Real, Value::Null),
        ("words", Text, text("")),
        ("words", Text, text("plain")),
        ("words", Text, text("costs $1 or $2, not ?1")),
        ("words", Text, text("it's \"quoted\"; -- and \\ escaped")),
        ("words", Text, text("Grüße, 東京, ру́сский, 🚕, e\u{301}")),
        ("words", Text, text("007")),
        ("words", Text, text("line one\nline two\r\n\tend")),
        ("words", Text, text(&"long ".repeat(200_000))),
        ("words", Text, Value::Null),
        ("raw", Bytes, Value::Bytes(Vec::new())),
        ("raw", Bytes, Value::Bytes((0..=255).collect())),
        ("raw", Bytes, Value::Bytes(vec![0; 1 << 20])),
        ("raw", Bytes, Value::Null),
    ]
}

#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_went_in() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        for (index, (column, kind, value)) in cases().into_iter().enumerate() {
            let (one_by_one, in_bulk) = (2 * index as i64, 2 * index as i64 + 1);
            let given = value.clone();
            let added = test.db.write(move |tx| {
                tx.execute(
                    &format!("INSERT INTO kinds (id, {column}) VALUES ($1, $2)"),
                    vec![Value::Int(one_by_one), given.clone()],
                )?;
                let columns = [("id", ColumnKind::Int), (column, kind)];
                tx.append("kinds", &columns, vec![vec![Value::Int(in_bulk), given]])
            });
            assert_eq!(added.await.expect("the values are stored"), 1);
            for id in [one_by_one, in_bulk] {
                let sql = format!("SELECT {column} FROM kinds WHERE id = $1");
                let row = test.db.read_one(sql, args![id]).await.unwrap().expect("the row is there");
                let found = match (kind, row.value(0)) {
                    (_, Value::Null) => Value::Null,
                    (ColumnKind::Bool, _) => Value::Bool(row.bool(0).unwrap()),
                    (_, found) => found.clone(),
                };
                // Not `assert_eq!`: some of the values are a mebibyte long.
                assert!(found == value, "{engine:?}: case {index}, row {id}, column {column}");
            }
        }
    }
}

#[tokio::test]
async fn text_with_a_nul_is_refused_on_both_engines() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let insert = "INSERT INTO kinds (id, words) VALUES (1, $1)";
        let written = test.db.write(move |tx| tx.execute(insert, args!["a\0b"])).await;
        assert!(matches!(written, Err(DbError::NulText)), "{engine:?}: {written:?}");
        let read = test.db.read("SELECT id FROM kinds WHERE words = $1", args!["a\0b"]).await;
        assert!(matches!(read, Err(DbError::NulText)), "{engine:?}: {read:?}");
    }
}

#[tokio::test]
async fn a_whole_number_fits_a_real_column() {
    for test in both_engines(&[SHOP]).await {
        let insert = "INSERT INTO kinds (id, fraction) VALUES (1, $1)";
        test.db.write(move |tx| tx.execute(insert, args![3_i64])).await.unwrap();
        let row =
            test.db.read_one("SELECT fraction FROM kinds WHERE id = 1", args![]).await.unwrap().unwrap();
        assert_eq!(row.value(0), &Value::Real(3.0), "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn an_argument_may_stand_twice_and_in_any_order() {
    for test in both_engines(&[SHOP]).await {
        test.db
            .write(|tx| tx.execute("INSERT INTO kinds (whole, id) VALUES ($2, $1)", args![7_i64, 70_i64]))
            .await
            .unwrap();
        let sql = "SELECT id, whole FROM kinds WHERE whole = $2 AND id = $1 AND whole >= $2";
        let rows = test.db.read(sql, args![7_i64, 70_i64]).await.unwrap();
        let found: Vec<_> = rows.iter().map(|row| (row.int(0).unwrap(), row.int(1).unwrap())).collect();
        assert_eq!(found, [(7, 70)], "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn a_column_of_another_type_is_an_error_that_names_both() {
    for test in both_engines(&[SHOP]).await {
        let insert = "INSERT INTO kinds (id, whole, words) VALUES (1, 5, 'five')";
        test.db.write(move |tx| tx.execute(insert, args![])).await.unwrap();
        let row =
            test.db.read_one("SELECT whole, words, raw FROM kinds", args![]).await.unwrap().expect("one row");
        let mismatches = [
            (row.string(0).map(drop), 0, "text", "int"),
            (row.bytes(0).map(drop), 0, "bytes", "int"),
            (row.int(1).map(drop), 1, "int", "text"),
            (row.real(1).map(drop), 1, "real", "text"),
            (row.int(2).map(drop), 2, "int", "null"),
        ];
        for (outcome, at, wanted, held) in mismatches {
            match outcome {
                Err(DbError::ColumnType { index, expected, found }) => {
                    assert_eq!((index, expected, found), (at, wanted, held));
                }
                other => panic!("column {at} as {wanted}: {other:?}"),
            }
        }
        assert_eq!(row.opt_int(2).unwrap(), None);
        assert_eq!(row.opt_int(0).unwrap(), Some(5));
        assert_eq!(row.opt_string(1).unwrap().as_deref(), Some("five"));
    }
}

#[tokio::test]
async fn like_tells_upper_from_lower_case_on_both_engines() {
    for test in both_engines(&[SHOP]).await {
        test.db
            .write(|tx| {
                tx.execute("INSERT INTO items (id, name) VALUES (1, 'Abacus'), (2, 'abacus')", args![])
            })
            .await
            .unwrap();
        let rows = test.db.read("SELECT id FROM items WHERE name LIKE $1", args!["Ab%"]).await.unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.int(0).unwrap()).collect();
        assert_eq!(ids, [1], "{:?}", test.db.engine());
    }
}
