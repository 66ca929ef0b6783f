"""How a replica of MySQL or MariaDB is added by hand: the exact commands, without a password."""

import shlex

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.model.replica_facts import AdditionFacts, PlaceFacts, SourceFacts
from dbtui.model.replicas import ReplicaWish

UNSUPPORTED = "dbtui copies no data directory of {flavour}: a replica of it is added by hand"


def collect_addition(target: MysqlTarget, wish: ReplicaWish) -> AdditionFacts:
    """Return the commands; nothing is asked but what the server has said already."""
    source = SourceFacts(address=target.options.server, login=target.info.user)
    return AdditionFacts(
        source=source,
        place=PlaceFacts(data_directory=wish.data_directory),
        unsupported=UNSUPPORTED.format(flavour=target.info.flavour),
        manual=tuple(_mariadb(target, wish) if target.is_mariadb else _mysql(target, wish)),
    )


def _mariadb(target: MysqlTarget, wish: ReplicaWish) -> list[str]:
    host, _, port = target.options.server.rpartition(":")
    directory = shlex.quote(wish.data_directory)
    return [
        "CREATE USER 'replica'@'%' IDENTIFIED BY '…'; GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%';",
        f"mariadb-backup --backup --target-dir={directory} --host={host or 'HOST'} --port={port or 3306} -u USER -p",
        f"mariadb-backup --prepare --target-dir={directory}",
        f"chown -R mysql: {directory}",
        f"mariadbd --datadir={directory} --port={wish.port} --server-id=ANOTHER --read-only=ON",
        f"SET GLOBAL gtid_slave_pos = '(from {wish.data_directory}/xtrabackup_binlog_info)';",
        f"CHANGE MASTER TO master_host='{host or 'HOST'}', master_port={port or 3306}, master_user='replica', "
        "master_password='…', master_use_gtid=slave_pos; START SLAVE;",
    ]


def _mysql(target: MysqlTarget, wish: ReplicaWish) -> list[str]:
    host, _, port = target.options.server.rpartition(":")
    directory = shlex.quote(wish.data_directory)
    return [
        "CREATE USER 'replica'@'%' IDENTIFIED BY '…'; GRANT REPLICATION SLAVE, BACKUP_ADMIN ON *.* TO 'replica'@'%';",
        f"mysqld --initialize-insecure --datadir={directory}",
        f"mysqld --datadir={directory} --port={wish.port} --server-id=ANOTHER --gtid-mode=ON "
        "--enforce-gtid-consistency",
        "INSTALL PLUGIN clone SONAME 'mysql_clone.so';  -- on both servers",
        f"SET GLOBAL clone_valid_donor_list = '{host or 'HOST'}:{port or 3306}';",
        f"CLONE INSTANCE FROM 'replica'@'{host or 'HOST'}':{port or 3306} IDENTIFIED BY '…';",
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host or 'HOST'}', SOURCE_PORT={port or 3306}, "
        "SOURCE_USER='replica', SOURCE_PASSWORD='…', SOURCE_AUTO_POSITION=1; START REPLICA;",
    ]
