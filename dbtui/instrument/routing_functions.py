"""Functions that change nothing, lock nothing, and mean the same on a replica: of any server, by their bare names."""

_NAMES = """
abs age aggregate_strings all ansifunction any any_value array_agg array_append array_cat array_length array_position
array_remove array_to_json array_to_string ascii avg bernoulli bit_and bit_length bit_or bool_and bool_or btrim
cardinality cast cbrt ceil ceiling char_length character_length chr clock_timestamp coalesce concat concat_ws corr
cosine_distance count covar_pop covar_samp cube cume_dist curdate current_date current_database current_schema
current_time current_timestamp current_user curtime date date_add date_format date_part date_sub date_trunc datediff
day dayofmonth dayofweek dayofyear degrees dense_rank div encode every exp extract field find_in_set first_value floor
format generate_series generate_subscripts greatest group_concat grouping grouping_sets hour if ifnull initcap instr
isnull json_agg json_array json_array_elements json_array_elements_text json_array_length json_build_array
json_build_object json_contains json_each json_each_text json_extract json_extract_path json_extract_path_text
json_length json_object json_object_agg json_object_keys json_strip_nulls json_to_record json_to_recordset json_typeof
json_unquote json_value jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg
jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first
jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours
justify_interval lag last_day last_value lcase lead least left length ln locate localtime localtimestamp log log10
lower lpad ltrim make_date make_interval make_time make_timestamp make_timestamptz max md5 mid min minute mod mode
month now nth_value ntile nullif num_nonnulls num_nulls numnode octet_length orderedsetagg overlay percent_rank
percentile_cont percentile_disc phraseto_tsquery pi plainto_tsquery position pow power quarter querytree quote_ident
quote_literal rand random rank regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
regexp_split_to_array regexp_split_to_table regexp_substr regr_count regr_slope repeat replace returntypefromargs
returntypefromoptionalargs reverse right rollup round row row_number row_to_json rpad rtrim second session_user
setweight sha256 sign similarity some split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp
str_to_date strftime string_agg string_to_array strip strpos substr substring substring_index sum sysdate system text
timediff timeofday timestampdiff timezone to_char to_date to_hex to_json to_jsonb to_number to_timestamp to_tsquery
to_tsvector transaction_timestamp translate trim trunc truncate ts_headline ts_rank ts_rank_cd ucase unixepoch
unix_timestamp unnest upper user utc_timestamp var_pop var_samp variance version websearch_to_tsquery week weekday
width_bucket word_similarity xmlagg year
"""

HARMLESS = frozenset(_NAMES.split())
