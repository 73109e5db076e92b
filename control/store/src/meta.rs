//! The few numbers that a database keeps about itself, each with its checksum.
//!
//! Know before changing: this is the file format, and revisions never repeat only because of these numbers.

use rusqlite::{Connection, params};

use crate::row::{RowError, checksum};

/// The table.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// No revision above it was ever given out.
pub(crate) const CEILING: &str = "ceiling";
/// History before this revision may be gone.
pub(crate) const COMPACTED: &str = "compacted";
/// There in a backup that has not been opened since.
pub(crate) const BACKUP: &str = "backup";

/// Reads a number.
pub(crate) fn get(connection: &Connection, name: &str) -> Result<Option<u64>, RowError> {
    let found = connection
        .prepare_cached("SELECT value, checksum FROM meta WHERE name = ?1")?
        .query_row([name], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
    match found {
        Ok((value, sum)) if sum == checksum([value, 0, 0, 0], name, &[]) => Ok(Some(value as u64)),
        Ok(_) => Err(RowError::Damaged(format!(
            "the number {name:?} does not match its checksum"
        ))),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes a number. [`COMPACTED`] only goes up: what is compacted stays so.
pub(crate) fn set(connection: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    let lowest = if name == COMPACTED { value } else { 0 };
    let value = value as i64;
    connection
        .prepare_cached(
            "INSERT INTO meta VALUES (?1, ?2, ?3) ON CONFLICT (name)
             DO UPDATE SET value = excluded.value, checksum = excluded.checksum WHERE value < ?4 OR ?4 = 0",
        )?
        .execute(params![name, value, checksum([value, 0, 0, 0], name, &[]), lowest as i64])?;
    Ok(())
}

/// Removes a number.
pub(crate) fn remove(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM meta WHERE name = ?1", [name])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_checked() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let check = |name, expect| assert_eq!(get(&connection, name).unwrap(), expect);
        check(CEILING, None);
        set(&connection, CEILING, 9).unwrap();
        set(&connection, CEILING, 7).unwrap();
        check(CEILING, Some(7));
        for (value, expect) in [(5, 5), (3, 5), (8, 8)] {
            set(&connection, COMPACTED, value).unwrap();
            check(COMPACTED, Some(expect));
        }
        remove(&connection, CEILING).unwrap();
        check(CEILING, None);
        connection
            .execute_batch("UPDATE meta SET value = 9")
            .unwrap();
        assert!(matches!(
            get(&connection, COMPACTED),
            Err(RowError::Damaged(_))
        ));
    }
}
