use std::time::Duration;

use futures_util::future::join_all;
use platform_db::args;
use platform_testkit::both_engines;

use crate::SHOP;

/// Takes a tenth of a second or more on any machine.
const SLOW: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
                    SELECT COUNT(*) FROM n";

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_goes_away_takes_no_connection_with_him() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let impatient =
            (0..4).map(|_| tokio::time::timeout(Duration::from_millis(30), test.db.read(SLOW, args![])));
        let given_up = join_all(impatient).await.iter().filter(|outcome| outcome.is_err()).count();
        assert!(given_up > 0, "{engine:?}: the slow query was not slow");
        for _ in 0..8 {
            let answer = test.db.read_one("SELECT value FROM counters WHERE id = 1", args![]).await;
            let row = answer.unwrap_or_else(|error| panic!("{engine:?}: {error}"));
            assert_eq!(row.unwrap().int(0).unwrap(), 0, "{engine:?}");
        }
    }
}

#[tokio::test]
async fn a_read_that_fails_leaves_the_next_one_unharmed() {
    for test in both_engines(&[SHOP]).await {
        for _ in 0..20 {
            test.db.read("SELECT nothing FROM nowhere", args![]).await.unwrap_err();
        }
        let rows = test.db.read("SELECT value FROM counters", args![]).await.unwrap();
        assert_eq!(rows.len(), 1, "{:?}", test.db.engine());
        assert!(test.db.read_one("SELECT id FROM items", args![]).await.unwrap().is_none());
    }
}
