"""A database with everything in it that has ever broken a MySQL dump, and its rows read back for comparison."""

import os
import subprocess
from typing import Any

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import quote_name
from dbtui.demo.servers import MariaDB

NASTY = [
    "CREATE TABLE strings (id int PRIMARY KEY AUTO_INCREMENT, a text, b varchar(200) DEFAULT 'it''s;\\n\\\\',"
    " c longblob) COMMENT 'semi; quote '' newline\\n end'",
    "INSERT INTO strings (a, b, c) VALUES ('it''s \"q\" `b` \\\\ back', 'line1\\nline2\\r\\n\\tTab;\\0nul\\Z',"
    " x'00FF27225C0A0D1A3B'), ('),(', '--x', NULL), ('),\\n(', ';\\n INSERT INTO', '/*! x */'),"
    " ('\U0001f600 \U0001d4b3', '', ''), (NULL, NULL, NULL)",
    "CREATE TABLE nums (id bigint unsigned PRIMARY KEY, d decimal(30,10), f double, b bit(11), y year,"
    " e enum('a','b''c','),('), s set('x','y'), j json, u uuid, i6 inet6, g bigint GENERATED ALWAYS AS (y * 2) VIRTUAL,"
    " h varchar(40) GENERATED ALWAYS AS (concat(e, ')')) STORED, geo point)",
    "INSERT INTO nums (id, d, f, b, y, e, s, j, u, i6, geo) VALUES (18446744073709551615, -12345.678900001, 1.5e-300,"
    " b'10101010101', 2024, '),(', 'x,y', '{\"a\":\"q\\\\\"),(\\\\n\"}', uuid(), '::1', point(1, 2)),"
    " (2, 0, -0.0, 0, 1901, 'b''c', '', '[]', uuid(), 'fe80::1', NULL)",
    "SET sql_mode = ''",
    "CREATE TABLE dates (id int, d date, dt datetime(6), ts timestamp(3) NULL, t time(2)) ENGINE=MyISAM",
    "INSERT INTO dates VALUES (1, '0000-00-00', '0000-00-00 00:00:00', NULL, '-838:59:59'),"
    " (2, '2024-02-30', '2024-02-29 12:34:56.123456', '2024-01-01 00:00:00.5', '12:00:00.25')",
    "INSERT INTO strings (id, a) VALUES (0, 'auto')",
    "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "INSERT INTO strings (id, a) VALUES (0, 'zero')",
    "SET sql_mode = DEFAULT",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (id int PRIMARY KEY, p int,"
    " CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
    "INSERT INTO parent VALUES (1), (2)",
    "INSERT INTO child VALUES (1, 1), (2, 2)",
    "CREATE TABLE `sp ace-\"q'[red]` (`co``l x` int, `n(1),(2)` text)",
    "INSERT INTO `sp ace-\"q'[red]` VALUES (1, 'x')",
    "CREATE TABLE `new\nline;` (`a\nb` int, g int GENERATED ALWAYS AS (`a\nb` + 1) VIRTUAL)",
    "INSERT INTO `new\nline;` (`a\nb`) VALUES (1), (2), (3)",
    "CREATE TABLE inv (id int, secret int INVISIBLE DEFAULT 5, chk int CHECK (chk > 0))",
    "INSERT INTO inv (id, secret, chk) VALUES (1, 9, 1), (2, 3, 4), (3, NULL, 5)",
    "CREATE TABLE parts (id int, d date) PARTITION BY RANGE (year(d))"
    " (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE)",
    "INSERT INTO parts VALUES (1, '2019-01-01'), (2, '2024-01-01')",
    "CREATE TABLE sysv (id int, x int) WITH SYSTEM VERSIONING",
    "INSERT INTO sysv VALUES (1, 1)",
    "UPDATE sysv SET x = 2",
    "CREATE TABLE empty_t (id int)",
    "CREATE TABLE big_rows (id int PRIMARY KEY, t longtext)",
    "INSERT INTO big_rows VALUES (1, repeat('x),(\\n', 2000)), (2, repeat('''', 3000)), (3, repeat('\\\\', 3001))",
    "CREATE SEQUENCE seq1 START WITH 10 INCREMENT BY 5",
    "SELECT nextval(seq1)",
    "CREATE TABLE counted (id int DEFAULT nextval(seq1), x int)",
    "INSERT INTO counted (x) VALUES (1), (2)",
    "CREATE VIEW v1 AS SELECT s.id, s.a, n.d FROM strings s LEFT JOIN nums n ON n.id = s.id WHERE s.a <> ');\\n'",
    "CREATE VIEW v2 AS SELECT * FROM v1",
    "CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v0 AS SELECT * FROM parent WHERE id > 0 WITH CHECK OPTION",
    "CREATE VIEW a_sequence AS SELECT nextval(seq1) AS n",
    "CREATE TABLE trig (id int, n int)",
    "INSERT INTO trig VALUES (1, 1)",
    "CREATE TRIGGER trig_bi BEFORE INSERT ON trig FOR EACH ROW BEGIN /* c; */ SET NEW.n = NEW.n + 1;"
    " IF NEW.id < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='neg;;\nDELIMITER ;\nINSERT'; END IF; END",
    "CREATE TRIGGER trig_bi2 BEFORE INSERT ON trig FOR EACH ROW FOLLOWS trig_bi SET NEW.n = NEW.n * 2",
    "CREATE PROCEDURE p1(IN a INT, OUT b VARCHAR(10)) COMMENT 'x' BEGIN -- a comment with ' quote\n"
    '  INSERT INTO `trig` VALUES\n(1,2);\n  SELECT "double ; "; # hash\n END',
    "CREATE FUNCTION f1(a int) RETURNS int DETERMINISTIC RETURN a + 1",
    "CREATE EVENT ev1 ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00'"
    " DO BEGIN DELETE FROM trig WHERE id < -5; END",
    "CREATE EVENT ev2 ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE DISABLE COMMENT 'ENABLE DO' DO SELECT 1",
    "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
    "CREATE PROCEDURE p2() BEGIN SELECT \"id\" FROM trig; SELECT 'a\\'; END",
    "SET sql_mode = DEFAULT",
]


def fill(target: MysqlTarget, statements: list[str] = NASTY) -> None:
    """Make the nasty tables, or others, in a target's database, in one session."""
    connection = target.connect(target.database)
    for statement in statements:
        target.rows(statement, on=connection)


def rows_of(target: MysqlTarget, database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in an order that does not depend on where the rows lie."""
    names = target.rows(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = %(s)s"
        " AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')",
        {"s": database},
    )
    found = {}
    for row in names:
        table = f"{quote_name(database)}.{quote_name(row['name'])}"
        rows = [tuple(one.values()) for one in target.rows(f"SELECT * FROM {table}")]
        found[row["name"]] = sorted(rows, key=repr)
    return found


def structure_of(server: MariaDB, database: str) -> str:
    """Everything that the server's own tool says of a database, its name and the time left out."""
    words = ["mariadb-dump", "--no-defaults", f"--socket={server.socket}", f"--user={server.superuser}"]
    options = ["--routines", "--events", "--triggers", "--hex-blob", "--skip-dump-date", "--skip-comments"]
    said = subprocess.run(
        [*words, *options, "--", database],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "MYSQL_PWD": server.password},
    )
    text = said.stdout.decode("utf-8", "replace")
    return text.replace(f"(`{database}`.", "(`it`.")
