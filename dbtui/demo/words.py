"""The words that the demo's rows are made of."""

FORENAMES = (
    *("Ada", "Aino", "Amara", "Anouk", "Bea", "Björn", "Carmen", "Chinwe", "Diego", "Eirik", "Elif", "Fatima"),
    *("Giulia", "Hana", "Ines", "Ivan", "Jamal", "Joan", "Kofi", "Léa", "Linh", "Łukasz", "Mairi", "Mateo", "Mei"),
    *("Nadia", "Noor", "Oisín", "Olga", "Pablo", "Priya", "Quentin", "Rosa", "Sanjay", "Søren", "Tariq", "Uma"),
    *("Vera", "Wanjiru", "Xavier", "Yara", "Yusuf", "Zoë"),
)
SURNAMES = (
    *("Abara", "Andersson", "Baker", "Bianchi", "Castillo", "Chen", "Côté", "Dubois", "Eze", "Ferreira", "Fischer"),
    *("García", "Haddad", "Ibrahim", "Jansen", "Jovanović", "Kaya", "Kowalski", "Kumar", "Larsen", "MacLeod"),
    *("Mbeki", "Müller", "Nakamura", "Nguyen", "O'Brien", "Okafor", "Petrov", "Quispe", "Rossi", "Sato", "Silva"),
    *("Smith", "Suzuki", "Tanaka", "Ünal", "van Dijk", "Virtanen", "Weber", "Yılmaz", "Zhang"),
)
TO_ASCII = str.maketrans("äöüéëèôñíóćşıłźřø' ø", "aoueeeoniocsilzro--o")
BUSINESSES = ("Foods", "Freight", "Instruments", "Interiors", "Logistics", "Paper", "Supplies", "Textiles", "Tools")
COUNTRIES = ("AT", "BE", "CH", "DE", "DK", "ES", "FI", "FR", "GB", "IE", "IT", "NL", "NO", "PL", "PT", "SE")
CITIES = ("Basel", "Bergen", "Bilbao", "Cork", "Gdańsk", "Ghent", "Graz", "Leeds", "Lyon", "Porto", "Tampere", "Turin")
ROLES = {
    "administrator": "May change everything, users included",
    "auditor": "May read everything, audit logs included",
    "buyer": "Places orders",
    "clerk": "Keeps orders and invoices",
    "finance": "Reads turnover, writes invoices",
    "sales": "Sees orders of the own organisation",
    "support": "Sees orders and users, changes neither",
    "warehouse": "Keeps the inventory",
}
MATERIALS = (
    "Aluminium",
    "Ash",
    "Brass",
    "Canvas",
    "Carbon",
    "Copper",
    "Cork",
    "Cotton",
    "Glass",
    "Oak",
    "Steel",
    "Wool",
)
THINGS = (
    *("bearing", "bench", "bolt", "bracket", "cable", "clamp", "crate", "desk", "filter", "gasket", "hinge", "lamp"),
    *("panel", "pulley", "rack", "rope", "shelf", "spring", "table", "tray", "valve", "wheel"),
)
SIZES = ("4 mm", "6 mm", "8 mm", "12 mm", "25 cm", "40 cm", "80 × 120", "S", "M", "L", "XL", '1/2"', "no. 7")
COLOURS = ("black", "blue", "green", "grey", "natural", "red", "white", "yellow")
NOTES = (
    "Deliver to the back gate",
    "Call before delivery: +00 555 0100",
    "Gift wrapping, please",
    "Part of a framework agreement; price as agreed",
    "Second reminder sent",
    "Customer asked for [express] delivery",
    "50 % discount approved by finance",
    "See also\tthe earlier order\nfrom last month",
    "Grüße an das Lager",
)
ACTIONS = (
    ("login", "session"),
    ("logout", "session"),
    ("create", "order"),
    ("update", "order"),
    ("cancel", "order"),
    ("update", "inventory_item"),
    ("import", "inventory_item"),
    ("export", "report"),
    ("grant", "role"),
    ("revoke", "role"),
    ("update", "user"),
)
