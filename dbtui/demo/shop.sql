-- The web shop of the demo, for MariaDB. What follows the line "-- after the rows" is run when the tables are filled.
-- Statements end with ";;", for those that hold statements themselves.

CREATE TABLE customers (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email varchar(190) NOT NULL UNIQUE,
    full_name varchar(190) NOT NULL,
    country char(2) NOT NULL,
    created_at datetime NOT NULL
) ENGINE=InnoDB COMMENT='People who bought something at least once';;
CREATE TABLE products (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sku varchar(32) NOT NULL UNIQUE,
    name varchar(190) NOT NULL,
    attributes json NOT NULL,
    stock int NOT NULL,
    price decimal(12, 2) NOT NULL
) ENGINE=InnoDB;;
CREATE TABLE orders (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id int NOT NULL,
    status enum('basket', 'paid', 'shipped', 'returned') NOT NULL,
    note text,
    ordered_at datetime NOT NULL,
    KEY orders_customer (customer_id),
    KEY orders_time (ordered_at)
) ENGINE=InnoDB;;
CREATE TABLE order_lines (
    order_id int NOT NULL,
    line_number smallint NOT NULL,
    product_id int NOT NULL,
    quantity int NOT NULL,
    price decimal(12, 2) NOT NULL,
    PRIMARY KEY (order_id, line_number)
) ENGINE=InnoDB;;

-- after the rows

ALTER TABLE orders
    ADD CONSTRAINT orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers (id);;
ALTER TABLE order_lines
    ADD CONSTRAINT lines_order_fk FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    ADD CONSTRAINT lines_product_fk FOREIGN KEY (product_id) REFERENCES products (id);;
CREATE VIEW turnover AS
    SELECT date_format(o.ordered_at, '%Y-%m') AS month, sum(l.quantity * l.price) AS total
    FROM orders o JOIN order_lines l ON l.order_id = o.id
    WHERE o.status <> 'basket'
    GROUP BY 1;;
CREATE FUNCTION order_total(wanted int) RETURNS decimal(14, 2) READS SQL DATA
    RETURN (SELECT sum(quantity * price) FROM order_lines WHERE order_id = wanted);;
CREATE TRIGGER order_lines_take_stock AFTER INSERT ON order_lines
    FOR EACH ROW UPDATE products SET stock = stock - NEW.quantity WHERE id = NEW.product_id;;
ANALYZE TABLE customers, products, orders, order_lines;;
