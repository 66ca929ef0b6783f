"""Which statements may run: everything that real dumps say, and how parts of it are replaced."""

import pytest

from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.sql_lexer import Splitter
from dbtui.adapters.mysql.statements import Action, Judge, Verdict, edit

#: As mysqldump 8.0 writes it, by the manual and by published dumps; no MySQL 8 server takes part in these tests.
MYSQL_8 = b"""-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!50503 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '8a94f357-aab4-11df-86ab-c80aa9429562:1-5';
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `erp` /*!40100 DEFAULT CHARACTER SET utf8mb4 */
/*!80016 DEFAULT ENCRYPTION='N' */;
USE `erp`;
DROP TABLE IF EXISTS `t`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `t` (
  `id` int NOT NULL AUTO_INCREMENT,
  `v` varchar(10) COLLATE utf8mb4_0900_ai_ci DEFAULT (uuid()),
  `g` int GENERATED ALWAYS AS ((`id` * 2)) STORED,
  `hidden` int DEFAULT NULL /*!80023 INVISIBLE */,
  PRIMARY KEY (`id`) /*!80000 INVISIBLE */,
  CONSTRAINT `c` CHECK ((`v` like _utf8mb4'a%')) /*!80016 NOT ENFORCED */,
  CONSTRAINT `f` FOREIGN KEY (`g`) REFERENCES `other`.`x` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4
/*!50100 PARTITION BY RANGE (`id`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB,
 PARTITION p1 VALUES LESS THAN MAXVALUE ENGINE = InnoDB) */;
LOCK TABLES `t` WRITE;
/*!40000 ALTER TABLE `t` DISABLE KEYS */;
INSERT INTO `t` VALUES (1,'a',_binary '\\0x'),(2,'b',NULL);
/*!40000 ALTER TABLE `t` ENABLE KEYS */;
UNLOCK TABLES;
/*!50003 SET @saved_sql_mode       = @@sql_mode */ ;
/*!50003 SET sql_mode              = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`app`@`%`*/ /*!50003 TRIGGER `erp`.`tr` BEFORE INSERT ON `erp`.`t` FOR EACH ROW
BEGIN SET NEW.v = 'x;;'; END */;;
DELIMITER ;
/*!50003 SET sql_mode              = @saved_sql_mode */ ;
ALTER DATABASE `erp` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ;
/*!50106 SET @save_time_zone= @@TIME_ZONE */ ;
/*!50106 DROP EVENT IF EXISTS `e` */;
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`app`@`%`*/ /*!50106 EVENT `e`
ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO BEGIN DELETE FROM t; END */ ;;
DELIMITER ;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`app`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `w` AS select `t`.`id` AS `id` from `t` */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
"""


def judge_all(text: bytes, source: str = "") -> list[tuple[Verdict, bytes]]:
    judge, splitter = Judge(source=source, tables={"t"}), Splitter()
    return [(judge.judge(one), one.text) for part in (splitter.feed(text), splitter.finish()) for one in part]


def judge_one(text: str, source: str = "") -> tuple[Verdict, bytes]:
    return judge_all(text.encode() + b";\n", source)[-1]


def test_a_dump_of_mysql_8_is_understood() -> None:
    found = judge_all(MYSQL_8)
    kinds = [verdict.kind for verdict, _ in found if verdict.kind != "setting"]
    assert kinds == ["use", "use", "drop", "table", "lock", "keys", "rows", "keys", "transaction", "trigger",
                     "database", "drop", "event", "view"]  # fmt: skip
    left_out = [text for verdict, text in found if verdict.action is Action.SKIP and verdict.kind == "setting"]
    assert len(left_out) == 2
    assert all(b"SQL_LOG_BIN=" in text or b"GTID_PURGED" in text for text in left_out)
    assert {verdict.definer for verdict, _ in found} == {"", "app@%"}


def test_parts_are_replaced() -> None:
    found = {verdict.kind: (verdict, text) for verdict, text in judge_all(MYSQL_8)}
    verdict, text = found["trigger"]
    assert verdict.table == "t"
    plain = edit(text, verdict, {"qualifier": b"", "definer": b""})
    assert b"TRIGGER `tr` BEFORE INSERT ON `t` FOR" in plain
    assert b"DEFINER" not in plain
    verdict, text = found["event"]
    assert b"NOT PRESERVE DISABLE DO" in edit(text, verdict, {"enable": b"DISABLE"})
    verdict, text = found["database"]
    assert edit(text, verdict, {"database": b"`x`"}).startswith(b"ALTER DATABASE `x` CHARACTER SET")
    verdict, text = found["view"]
    assert edit(text, verdict, {}) == text


def test_sequences_of_the_dumped_database_lose_its_name() -> None:
    words = "CREATE TABLE `t` (`id` int DEFAULT nextval(`erp`.`s`), `b` int DEFAULT nextval(`x`.`s`))"
    verdict, text = judge_one(words, "erp")
    assert edit(text, verdict, {"qualifier": b""}).count(b"nextval(`s`)") == 1
    assert b"nextval(`x`.`s`)" in edit(text, verdict, {"qualifier": b""})


def test_columns_in_views_lose_the_name_of_the_dumped_database() -> None:
    words = "CREATE VIEW `v` AS select `erp`.`t`.`a` AS `a`,`x`.`t`.`b`,`y`.`erp`.`c`,`erp`.`c`,`erp`.`t` from `t`"
    verdict, text = judge_one(words, "erp")
    assert edit(text, verdict, {"qualifier": b""}) == text.replace(b"`erp`.`t`.", b"`t`.")


@pytest.mark.parametrize(
    "text",
    [
        "START TRANSACTION",
        "COMMIT",
        "SET AUTOCOMMIT = 0",
        'SET time_zone = "+00:00"',
        "SET CHARACTER SET utf8mb4",
        "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci",
        "ALTER TABLE `t` ADD PRIMARY KEY (`id`), ADD KEY `k` (`a`)",
        "ALTER TABLE t MODIFY `id` int NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=5",
        "CREATE TABLE t (type varchar(3), engine varchar(9), `select` int, values_ int) TYPE=MyISAM",
        "CREATE TABLE m (a int) ENGINE=MERGE UNION=(`a`,`b`) INSERT_METHOD=LAST",
        "CREATE TABLE t (a int) ENGINE=InnoDB DATA DIRECTORY='/data/fast'",
        "CREATE TABLE t (a varchar(9) CHECK (a like 'x%'), b int DEFAULT (1))",
        "CREATE TABLE t (a int) WITH SYSTEM VERSIONING",
        "CREATE UNIQUE INDEX i ON t (a)",
        "CREATE SEQUENCE `s` start with 1 minvalue 1 maxvalue 9 increment by 1 cache 1000 nocycle ENGINE=InnoDB",
        "DO SETVAL(`s`, 5010, 0)",
        "SELECT SETVAL(`s`, -5010, 0)",
        "/*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */",
        "REPLACE INTO `t` VALUES (1)",
        "CREATE OR REPLACE DEFINER=CURRENT_USER() VIEW v AS SELECT 1",
    ],
)
def test_what_tools_write_may_run(text: str) -> None:
    verdict, _ = judge_one(text)
    assert verdict.kind


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1", "no dump needs"),
        ("GRANT ALL ON *.* TO x", "no dump needs: GRANT"),
        ("SET GLOBAL x = 1", "the whole server"),
        ("SET SESSION sql_log_off = 1", "no dump needs"),
        ("CREATE USER x", "CREATE USER"),
        ("CREATE TABLE `b`.`t` (a int)", "another database, b"),
        ("CREATE TABLE t (LIKE x)", "like another"),
        ("CREATE TABLE t (a int) PARTITION BY HASH (a) (PARTITION p ENGINE CONNECT)", "engine CONNECT"),
        ("CREATE TABLE t (a int) ENGINE CONNECT", "engine CONNECT"),
        ("CREATE TRIGGER a.t BEFORE INSERT ON b.t FOR EACH ROW SET @a = 1", "another database"),
        ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY RENAME TO b.e DO SELECT 1", "moves"),
        ("DROP TABLE `a`.`b`", "another database"),
        ("LOCK INSTANCE FOR BACKUP", "no dump needs"),
        ("USE `a` ; USE `b`", "second"),
        ("SELECT 1 \\G", "no dump needs"),
        ("INSERT INTO t VALUES (f())", "not plain values"),
        ("ALTER TABLE t DISCARD TABLESPACE", "no dump needs"),
        ("ALTER TABLE t ADD x int, DISCARD TABLESPACE", "DISCARD"),
        ("BEGIN SELECT 1", "not understood"),
    ],
)
def test_what_no_dump_needs_may_not(text: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        judge_all(text.encode() + b";\n")
    assert reason in refused.value.message
    assert "\n" not in refused.value.message
