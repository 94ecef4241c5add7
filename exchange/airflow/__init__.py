"""The hub as Airflow runs it: the only room that knows Airflow, with dags/."""
